-- What a carrier was asked for once sells one label: whoever wants another one asks again.
alter table shipping.purchase add column quote uuid;
create unique index purchase_quote on shipping.purchase (tenant_id, quote) where quote is not null;
