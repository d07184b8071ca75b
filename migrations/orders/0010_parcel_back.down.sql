alter table orders.return drop column paid_minor;
alter table orders.orders drop column given_minor;
alter table orders.shipment_line drop column restocked;
alter table orders.shipment drop column back_at;
