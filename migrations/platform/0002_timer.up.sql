-- What modules want done at a moment: a campaign ends, a hold runs out. The moment is
-- the database's, whatever the clocks of the programs say.
create table platform.timer (
    tenant_id  uuid        not null default platform.current_tenant(),
    kind       text        not null,
    subject    text        not null,
    due_at     timestamptz not null,
    attempts   integer     not null default 0,
    last_error text,
    primary key (tenant_id, kind, subject)
);
create index timer_due on platform.timer (due_at); -- claimed across merchants

alter table platform.timer enable row level security;
alter table platform.timer force row level security;
create policy tenant on platform.timer
    using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))
    with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()));
grant select, insert, update, delete on platform.timer to fusion_app;

-- Seconds until the next of some kinds is due: null when there is none. One statement, no
-- transaction: an idle shop asks this once a second.
create function platform.next_timer(kinds text[]) returns double precision
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
declare due double precision;
begin
    perform set_config('app.all_tenants', 'on', true);
    select extract(epoch from t.due_at - clock_timestamp()) into due from platform.timer t where t.kind = any(kinds) order by t.due_at limit 1;
    perform set_config('app.all_tenants', 'off', true);
    return due;
end $$;
