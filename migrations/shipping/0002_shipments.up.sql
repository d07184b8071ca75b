-- Parcels: what is in them, their labels, and where they are.

-- How a shop sends. There is a row when somebody has said something.
create table shipping.settings (
    tenant_id     uuid        not null default platform.current_tenant(),
    sender        jsonb,                -- where parcels come from; null: not said
    policy        text        not null check (policy in ('auto', 'manual')), -- of orders that are paid
    paper         text        not null check (paper in ('4x6', 'A6')),
    default_grams bigint      not null check (default_grams between 1 and 1000000),
    version       bigint      not null,
    updated_at    timestamptz not null,
    primary key (tenant_id)
);

create table shipping.shipment (
    tenant_id       uuid        not null default platform.current_tenant(),
    id              uuid        not null,
    order_id        uuid        not null,
    order_number    bigint      not null,
    customer_id     text        not null, -- whose order it is
    parcel          integer     not null, -- of the order's, from 1
    direction       text        not null check (direction in ('outbound', 'return')),
    status          text        not null check (status in ('created', 'labelled', 'failed', 'voided', 'shipped', 'exception', 'delivered', 'returned')),
    sender          jsonb       not null,
    recipient       jsonb,                -- null: forgotten
    grams           bigint      not null check (grams > 0),
    length_mm       bigint      not null default 0,
    width_mm        bigint      not null default 0,
    height_mm       bigint      not null default 0,
    label           text        not null check (label in ('wanted', 'bought', 'refused', 'voiding', 'voided')),
    failure_code    text,
    failure_message text,
    carrier         text        not null, -- who was asked
    taken_by        text        not null default '', -- who takes the parcel
    service         text        not null default '',
    tracking_number text,
    tracking_url    text,
    tracking        jsonb       not null default '{}',
    token           text        not null, -- opens where the parcel is to anybody
    version         bigint      not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (tenant_id, id),
    constraint shipment_parcel_key unique (tenant_id, order_id, parcel),
    constraint shipment_token_key unique (tenant_id, token)
) with (fillfactor = 80);
create index shipment_by_creation on shipping.shipment (tenant_id, created_at, id);
create index shipment_by_status on shipping.shipment (tenant_id, status, created_at, id);
create index shipment_by_customer on shipping.shipment (tenant_id, customer_id, created_at, id);
create index shipment_by_number on shipping.shipment (tenant_id, tracking_number) where tracking_number is not null;

create table shipping.item (
    tenant_id   uuid     not null default platform.current_tenant(),
    shipment_id uuid     not null,
    line        smallint not null, -- of the order
    sku         text     not null,
    name        text     not null,
    quantity    bigint   not null check (quantity > 0),
    price_minor bigint   not null,
    currency    char(3)  not null,
    primary key (tenant_id, shipment_id, line),
    foreign key (tenant_id, shipment_id) references shipping.shipment
);

do $$
declare t text;
begin
    foreach t in array array['settings', 'shipment', 'item'] loop
        execute format('alter table shipping.%I enable row level security', t);
        execute format('alter table shipping.%I force row level security', t);
        execute format('create policy tenant on shipping.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update on shipping.settings, shipping.shipment to fusion_app;
grant select, insert, delete on shipping.item to fusion_app;
