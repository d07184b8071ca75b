-- Letters that strangers can have sent to somebody, so that they are few. The subject is a
-- hash of the kind of letter and the address, so that nobody learns from it who was written to.
create table identity.letter_guard (
    tenant_id uuid          not null default platform.current_tenant(),
    subject   bytea         not null,
    sent_at   timestamptz[] not null, -- of the last hour
    last_at   timestamptz   not null,
    primary key (tenant_id, subject)
);
create index letter_guard_by_age on identity.letter_guard (tenant_id, last_at);
alter table identity.letter_guard enable row level security;
alter table identity.letter_guard force row level security;
create policy tenant on identity.letter_guard using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert, update, delete on identity.letter_guard to fusion_app;
