alter table orders.timeline drop column fulfillment_status, drop column shipment_id, drop column shipment_status, drop column cancelled;
alter table orders.orders drop column fulfillment_status, drop column cancelled_minor, drop column held_for;
drop table orders.shipment_line;
drop table orders.shipment;
alter table orders.line drop constraint line_progress_check,
    drop column cancelled, drop column consigned, drop column shipped, drop column delivered, drop column returned;
