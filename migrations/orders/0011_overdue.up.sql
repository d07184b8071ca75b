-- Orders that are paid and wait for nobody, by when something happened to them last; and those that
-- wait for somebody.
create index orders_unpacked on orders.orders (tenant_id, updated_at) where status = 'paid' and held_for is null and hold is null;
create index orders_waiting on orders.orders (tenant_id, created_at, id) where held_for is not null or hold is not null;
