alter table orders.timeline drop column return_id, drop column return_status;
alter table orders.orders drop constraint orders_due_check, drop column returned_minor, drop column return_status;
alter table orders.line drop constraint line_taken_back_check, drop column taken_back;
drop table orders.return_line;
drop table orders.return;
drop table orders.return_policy;
