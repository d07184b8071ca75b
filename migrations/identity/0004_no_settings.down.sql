create table identity.settings (
    tenant_id           uuid        not null default platform.current_tenant(),
    staff_second_factor boolean     not null,
    version             bigint      not null,
    updated_at          timestamptz not null,
    primary key (tenant_id)
);
alter table identity.settings enable row level security;
alter table identity.settings force row level security;
create policy tenant on identity.settings using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert, update on identity.settings to fusion_app;
