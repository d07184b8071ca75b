-- Whose a hold is: a customer's own, or, when it is empty, that of a guest who knows its id.
alter table inventory.hold add column customer_id text not null default '';
