-- What a carrier was asked for once sells one label: whoever wants another one asks again.
alter table shipping.purchase add column quote uuid;
create unique index purchase_quote on shipping.purchase (tenant_id, quote) where quote is not null;

-- What a webhook told is in the shipment when it is handled: carriers write names into it.
update shipping.notice set tracking = null where handled_at is not null and tracking is not null;
