drop table orders.participation;
