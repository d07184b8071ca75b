-- What a reservation gave back of a line before it was over: a part of the order was called off.
alter table inventory.reservation_line
    add column released bigint not null default 0 check (released between 0 and quantity);
grant update (released) on inventory.reservation_line to fusion_app;
alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'held', 'claimed', 'expired'));
