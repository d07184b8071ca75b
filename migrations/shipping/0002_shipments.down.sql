drop table shipping.item;
drop table shipping.shipment;
drop table shipping.settings;
