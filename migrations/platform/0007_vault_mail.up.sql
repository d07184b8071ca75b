-- Which master keys seal what is in this database. A program that has another one would
-- seal what nobody else can open, and must be told before.
create table platform.vault_key (
    id         text        primary key check (id ~ '^[0-9a-f]{16}$'), -- fingerprint
    created_at timestamptz not null default now()
);
grant select, insert, delete on platform.vault_key to fusion_app;

-- Mail that is to be sent. Sealed, because it carries the tokens that it brings.
create table platform.mail (
    tenant_id    uuid        not null default platform.current_tenant(),
    id           uuid        not null,
    sealed       bytea       not null,
    created_at   timestamptz not null default now(),
    attempts     smallint    not null default 0,
    available_at timestamptz not null default now(),
    parked_at    timestamptz,
    last_error   text,
    primary key (tenant_id, id)
);
create index mail_due on platform.mail (available_at) where parked_at is null; -- claimed across merchants

-- Whose personal data was erased, so that a backup that knows them still can forget them
-- again. Ids only.
create table platform.erasure (
    tenant_id uuid        not null default platform.current_tenant(),
    subject   text        not null check (subject <> ''),
    erased_at timestamptz not null default now(),
    primary key (tenant_id, subject)
);

do $$
declare t text;
begin
    foreach t in array array['mail', 'erasure'] loop
        execute format('alter table platform.%I enable row level security', t);
        execute format('alter table platform.%I force row level security', t);
        execute format($p$create policy tenant on platform.%I
            using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))
            with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))$p$, t);
    end loop;
end $$;
grant select, insert, update, delete on platform.mail to fusion_app;
grant select, insert on platform.erasure to fusion_app;

-- Seconds until the next mail is to be tried: null when there is none. One statement, no
-- transaction: an idle shop asks this once a second.
create function platform.next_mail() returns double precision
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
declare due double precision;
begin
    perform set_config('app.all_tenants', 'on', true);
    select extract(epoch from m.available_at - clock_timestamp()) into due from platform.mail m where m.parked_at is null order by m.available_at limit 1;
    perform set_config('app.all_tenants', 'off', true);
    return due;
end $$;
