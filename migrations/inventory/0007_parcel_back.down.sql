update inventory.movement set kind = 'adjustment' where kind = 'came_back';
alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'shipped', 'held', 'claimed', 'expired', 'returned'));
alter table inventory.reservation_line drop column called_off, drop column beyond;
alter table inventory.departure drop column back_at;
