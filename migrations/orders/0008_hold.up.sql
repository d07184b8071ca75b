-- Why somebody has to look at an order before it is sent; null: nobody has to.
alter table orders.orders add column hold text check (hold in ('staff', 'amount'));
-- of the steps that held the order back or let it go on
alter table orders.timeline add column hold text check (hold in ('staff', 'amount', 'released'));
