-- Which participation in a campaign an order was made for: one order each, however often
-- and from wherever the news of it comes.
create table orders.participation (
    tenant_id      uuid not null default platform.current_tenant(),
    campaign_id    uuid not null,
    participant_id uuid not null,
    order_id       uuid not null,
    primary key (tenant_id, campaign_id, participant_id)
);
alter table orders.participation enable row level security;
alter table orders.participation force row level security;
create policy tenant on orders.participation
    using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert on orders.participation to fusion_app;
