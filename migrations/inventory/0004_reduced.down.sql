-- The line holds from here on what is left of it, and its movements say so.
delete from inventory.reservation_line where quantity = released;
update inventory.reservation_line set quantity = quantity - released where released > 0;
alter table inventory.reservation_line drop column released;
update inventory.movement set kind = 'adjustment' where kind = 'reduced';
alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'held', 'claimed', 'expired'));
