-- Goods that came back and can be sold again: once for a return, however often it is told.
alter table inventory.movement
    add column return_id uuid,
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'held', 'claimed', 'expired', 'returned'));
create unique index movement_returned_once on inventory.movement (tenant_id, return_id, location, sku) where return_id is not null;
