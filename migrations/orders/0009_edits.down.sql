alter table orders.timeline drop column edited;
