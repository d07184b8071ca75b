-- What of an order staff changed, of the steps that did.
alter table orders.timeline add column edited jsonb;
