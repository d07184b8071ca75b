drop index orders.orders_waiting;
drop index orders.orders_unpacked;
