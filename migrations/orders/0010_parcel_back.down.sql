alter table orders.shipment_line drop column restocked;
alter table orders.shipment drop column back_at;
