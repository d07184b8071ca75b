-- How far the units of an order have come, line by line, and the shipments that say so.
-- Each count includes those after it: what is delivered was shipped, what was shipped is consigned.
alter table orders.line
    add column cancelled bigint not null default 0,
    add column consigned bigint not null default 0, -- in a shipment that is neither voided nor failed
    add column shipped   bigint not null default 0,
    add column delivered bigint not null default 0,
    add column returned  bigint not null default 0,
    -- nobody ships what was cancelled, or more than was ordered
    add constraint line_progress_check check (
        cancelled >= 0 and returned >= 0 and delivered >= 0
        and delivered <= shipped and returned <= shipped and shipped <= consigned and consigned <= quantity - cancelled);
grant update (cancelled, consigned, shipped, delivered, returned) on orders.line to fusion_app;

-- The latest that each shipment told.
create table orders.shipment (
    tenant_id       uuid        not null default platform.current_tenant(),
    order_id        uuid        not null,
    shipment_id     uuid        not null,
    direction       text        not null check (direction in ('outbound', 'return')),
    status          text        not null check (status in ('consigned', 'created', 'labelled', 'failed', 'voided', 'shipped', 'exception', 'delivered', 'returned')),
    carrier         text        not null default '',
    tracking_number text        not null default '',
    version         bigint      not null, -- of the news; 0: there is none yet
    -- taken anew before the news was heard that it had failed
    retaken         boolean     not null default false,
    updated_at      timestamptz not null,
    primary key (tenant_id, order_id, shipment_id)
) with (fillfactor = 80);

create table orders.shipment_line (
    tenant_id   uuid     not null default platform.current_tenant(),
    order_id    uuid     not null,
    shipment_id uuid     not null,
    position    smallint not null,
    quantity    bigint   not null check (quantity > 0),
    primary key (tenant_id, order_id, shipment_id, position),
    foreign key (tenant_id, order_id, shipment_id) references orders.shipment,
    foreign key (tenant_id, order_id, position) references orders.line
);

do $$
declare t text;
begin
    foreach t in array array['shipment', 'shipment_line'] loop
        execute format('alter table orders.%I enable row level security', t);
        execute format('alter table orders.%I force row level security', t);
        execute format('create policy tenant on orders.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update on orders.shipment to fusion_app;
grant select, insert, delete on orders.shipment_line to fusion_app;

alter table orders.orders
    add column fulfillment_status text not null default 'unfulfilled'
        check (fulfillment_status in ('unfulfilled', 'partially_shipped', 'shipped', 'partially_delivered', 'delivered')),
    -- what of the total is not to be paid any more, because its units were cancelled
    add column cancelled_minor bigint not null default 0 check (cancelled_minor between 0 and total_minor),
    -- why it waits for somebody; null: it does not
    add column held_for text;

alter table orders.timeline
    add column fulfillment_status text, -- of the steps that changed it
    add column shipment_id        uuid, -- of the steps that a shipment made
    add column shipment_status    text,
    add column cancelled          jsonb; -- of the steps that called off a part
