alter table inventory.hold drop column customer_id;
