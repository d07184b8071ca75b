-- What has left counts as given back, so that what is reserved stays what is held.
drop table inventory.departure;
update inventory.reservation_line set released = released + shipped where shipped > 0;
alter table inventory.reservation_line drop constraint reservation_line_rest_check, drop column shipped;
update inventory.movement set kind = 'adjustment' where kind = 'shipped';
alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'held', 'claimed', 'expired', 'returned'));
