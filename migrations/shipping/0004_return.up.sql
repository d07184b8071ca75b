-- Parcels that bring something back: of which return they are. An order counts them by themselves.
alter table shipping.shipment
    add column return_id uuid, -- null: it goes to the buyer
    drop constraint shipment_parcel_key,
    add constraint shipment_parcel_key unique (tenant_id, order_id, direction, parcel);
create index shipment_by_return on shipping.shipment (tenant_id, return_id) where return_id is not null;
