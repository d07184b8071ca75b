drop index inventory.movement_returned_once;
update inventory.movement set kind = 'adjustment' where kind = 'returned';
alter table inventory.movement
    drop column return_id,
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'held', 'claimed', 'expired'));
