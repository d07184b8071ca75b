-- Parcels that came back to who sent them and were unpacked: what was in them counts as not sent.
alter table orders.shipment add column back_at timestamptz;
alter table orders.shipment_line add column restocked bigint check (restocked >= 0); -- what of it can be sold again; null: it is not back
grant update (restocked) on orders.shipment_line to fusion_app;

-- What went back of an order by a free amount, which what its units cost does not pay; and what in
-- truth goes back for a return: no more than is left of what was paid.
alter table orders.orders add column given_minor bigint not null default 0 check (given_minor >= 0);
alter table orders.return add column paid_minor bigint check (paid_minor >= 0); -- null: all that was asked
