alter table orders.timeline drop column hold;
alter table orders.orders drop column hold;
