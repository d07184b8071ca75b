-- What has left of what a reservation holds, and of which parcels the stock knows that they left.
alter table inventory.reservation_line
    add column shipped bigint not null default 0 check (shipped >= 0),
    add constraint reservation_line_rest_check check (released + shipped <= quantity);
grant update (shipped) on inventory.reservation_line to fusion_app;

create table inventory.departure (
    tenant_id   uuid        not null default platform.current_tenant(),
    shipment_id uuid        not null,
    order_id    uuid        not null,
    created_at  timestamptz not null,
    primary key (tenant_id, shipment_id)
);
alter table inventory.departure enable row level security;
alter table inventory.departure force row level security;
create policy tenant on inventory.departure
    using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()));
grant select, insert on inventory.departure to fusion_app;

alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'shipped', 'held', 'claimed', 'expired', 'returned'));
