-- Which parcels came back to who sent them, and how much of each line was called off in all: however
-- often and in whatever order that is told, it is freed once.
alter table inventory.departure add column back_at timestamptz;
grant update (back_at) on inventory.departure to fusion_app;
alter table inventory.reservation_line
    add column called_off bigint not null default 0 check (called_off >= 0),
    add column beyond     bigint not null default 0; -- units on their way, less those that are shipped: what was not held, or came back broken
grant update (called_off, beyond) on inventory.reservation_line to fusion_app;
alter table inventory.movement
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'reduced', 'shipped', 'came_back', 'held', 'claimed', 'expired', 'returned'));
