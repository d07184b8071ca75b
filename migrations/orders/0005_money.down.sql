alter table orders.timeline drop column payment_status;
drop index orders.orders_by_payment, orders.orders_left_unpaid;
alter table orders.orders drop column payment_status, drop column captured_minor, drop column refunded_minor;
drop table orders.payment;
