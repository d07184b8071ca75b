-- The roles that a shop has made for itself, beside those that every shop has. Accounts name
-- theirs, of both kinds.
create table identity.role (
    tenant_id   uuid        not null default platform.current_tenant(),
    name        text        not null,
    description text        not null,
    permissions text[]      not null,
    version     bigint      not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    primary key (tenant_id, name)
);

alter table identity.role enable row level security;
alter table identity.role force row level security;
create policy tenant on identity.role using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert, update, delete on identity.role to fusion_app;
