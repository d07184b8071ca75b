-- Orders with their lines and timeline. A line is a snapshot: later changes of the
-- catalog do not change history.
create schema if not exists orders;

create table orders.orders (
    tenant_id        uuid        not null default platform.current_tenant(),
    id               uuid        not null,
    number           bigint      not null,
    customer_id      text        not null check (customer_id <> ''),
    status           text        not null check (status in ('created', 'confirmed', 'paid', 'shipped', 'delivered', 'failed', 'cancelled', 'refunded')),
    reason           text,
    currency         char(3)     not null,
    total_minor      bigint      not null check (total_minor >= 0),
    email            text,
    shipping_address jsonb,
    metadata         jsonb       not null,
    version          bigint      not null default 1,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, id),
    constraint orders_number_key unique (tenant_id, number)
) with (fillfactor = 80);
create index orders_by_creation on orders.orders (tenant_id, created_at, id);
create index orders_by_customer on orders.orders (tenant_id, customer_id, created_at, id);
create index orders_by_status on orders.orders (tenant_id, status, created_at, id);

create table orders.line (
    tenant_id   uuid     not null default platform.current_tenant(),
    order_id    uuid     not null,
    position    smallint not null,
    product_id  uuid     not null,
    sku         text     not null,
    name        text     not null,
    quantity    bigint   not null check (quantity > 0),
    price_minor bigint   not null check (price_minor >= 0),
    total_minor bigint   not null,
    primary key (tenant_id, order_id, position),
    constraint line_total_check check (total_minor = quantity * price_minor)
);

create table orders.timeline (
    tenant_id uuid        not null default platform.current_tenant(),
    order_id  uuid        not null,
    version   bigint      not null, -- of the order after the step
    status    text        not null,
    reason    text,
    actor     text        not null,
    at        timestamptz not null,
    primary key (tenant_id, order_id, version)
);

-- The next free order number. Numbers are handed out in blocks, so that taking one
-- does not make the orders of a merchant wait for each other.
create table orders.counter (
    tenant_id uuid   not null default platform.current_tenant(),
    next      bigint not null,
    primary key (tenant_id)
);

do $$
declare t text;
begin
    foreach t in array array['orders', 'line', 'timeline', 'counter'] loop
        execute format('alter table orders.%I enable row level security', t);
        execute format('alter table orders.%I force row level security', t);
        execute format('create policy tenant on orders.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema orders to fusion_app;
grant select, insert on all tables in schema orders to fusion_app;
grant update on orders.orders, orders.counter to fusion_app;
