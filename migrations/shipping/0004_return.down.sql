drop index shipping.shipment_by_return;
delete from shipping.item i using shipping.shipment s where s.tenant_id = i.tenant_id and s.id = i.shipment_id and s.return_id is not null;
delete from shipping.shipment where return_id is not null;
alter table shipping.shipment
    drop constraint shipment_parcel_key,
    add constraint shipment_parcel_key unique (tenant_id, order_id, parcel),
    drop column return_id;
