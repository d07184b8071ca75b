-- Parcels that came back to who sent them and were unpacked: what was in them counts as not sent.
alter table orders.shipment add column back_at timestamptz;
alter table orders.shipment_line add column restocked bigint check (restocked >= 0); -- what of it can be sold again; null: it is not back
grant update (restocked) on orders.shipment_line to fusion_app;
