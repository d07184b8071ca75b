-- Stock of a SKU at a location, the reservations that hold part of it, and a ledger
-- of every change.
create schema if not exists inventory;

create table inventory.location (
    tenant_id uuid not null default platform.current_tenant(),
    code      text not null check (code <> ''),
    name      text not null,
    primary key (tenant_id, code)
);

create table inventory.stock (
    tenant_id     uuid        not null default platform.current_tenant(),
    location      text        not null,
    sku           text        not null,
    on_hand       bigint      not null check (on_hand >= 0),
    reserved      bigint      not null default 0,
    -- available at or below it: the merchant hears of low stock
    low_threshold bigint      not null check (low_threshold >= 0),
    version       bigint      not null default 1,
    updated_at    timestamptz not null,
    primary key (tenant_id, location, sku),
    foreign key (tenant_id, location) references inventory.location,
    -- the last line of defence: nothing is ever promised twice
    constraint stock_reserved_check check (reserved between 0 and on_hand)
) with (fillfactor = 70);

-- One row an order. 'refused' and 'released' rows stay: a late or repeated event finds them.
create table inventory.reservation (
    tenant_id  uuid        not null default platform.current_tenant(),
    order_id   uuid        not null,
    status     text        not null check (status in ('held', 'refused', 'released')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, order_id)
);

create table inventory.reservation_line (
    tenant_id uuid   not null default platform.current_tenant(),
    order_id  uuid   not null,
    location  text   not null,
    sku       text   not null,
    quantity  bigint not null check (quantity > 0),
    primary key (tenant_id, order_id, location, sku),
    foreign key (tenant_id, order_id) references inventory.reservation
);

-- Append-only: on_hand and reserved are the sums of their deltas.
create table inventory.movement (
    tenant_id      uuid        not null default platform.current_tenant(),
    id             uuid        not null,
    location       text        not null,
    sku            text        not null,
    kind           text        not null check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released')),
    on_hand_delta  bigint      not null,
    reserved_delta bigint      not null,
    reason         text        not null,
    order_id       uuid,
    actor          text        not null,
    created_at     timestamptz not null,
    primary key (tenant_id, id)
);
create index movement_by_sku on inventory.movement (tenant_id, location, sku, id);

do $$
declare t text;
begin
    foreach t in array array['location', 'stock', 'reservation', 'reservation_line', 'movement'] loop
        execute format('alter table inventory.%I enable row level security', t);
        execute format('alter table inventory.%I force row level security', t);
        execute format('create policy tenant on inventory.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema inventory to fusion_app;
grant select, insert on all tables in schema inventory to fusion_app;
grant update on inventory.stock, inventory.reservation to fusion_app;
