-- What was paid for orders: the latest that each payment told, and what follows from it.
create table orders.payment (
    tenant_id        uuid        not null default platform.current_tenant(),
    order_id         uuid        not null,
    payment_id       uuid        not null,
    status           text        not null,
    authorized_minor bigint      not null,
    captured_minor   bigint      not null,
    refunded_minor   bigint      not null,
    disputed_minor   bigint      not null,
    version          bigint      not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, order_id, payment_id)
) with (fillfactor = 80);
alter table orders.payment enable row level security;
alter table orders.payment force row level security;
create policy tenant on orders.payment
    using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert, update on orders.payment to fusion_app;

alter table orders.orders
    add column payment_status text   not null default 'unpaid'
        check (payment_status in ('unpaid', 'authorized', 'partially_paid', 'paid', 'overpaid', 'partially_refunded', 'refunded', 'disputed')),
    add column captured_minor bigint not null default 0,
    add column refunded_minor bigint not null default 0;
create index orders_left_unpaid on orders.orders (tenant_id, created_at) where cart_id is not null and payment_status = 'unpaid' and status in ('created', 'confirmed') and total_minor > 0;
create index orders_by_payment on orders.orders (tenant_id, payment_status, created_at, id);

alter table orders.timeline add column payment_status text; -- of the steps that changed it
