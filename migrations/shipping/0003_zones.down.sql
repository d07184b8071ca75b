-- What cannot be said without zones and bands is gone: of each currency the first price stays
-- that is for everything.
delete from shipping.price where zone_id is not null or min_grams is not null or max_grams is not null or min_items is not null or max_items is not null;
delete from shipping.price p using shipping.price o
where o.tenant_id = p.tenant_id and o.method_id = p.method_id and o.currency = p.currency and o.position < p.position;
drop index shipping.price_by_zone;
alter table shipping.price
    drop constraint price_pkey,
    drop constraint price_zone_fkey,
    drop constraint price_items_check,
    drop constraint price_grams_check,
    drop column max_items,
    drop column min_items,
    drop column max_grams,
    drop column min_grams,
    drop column zone_id,
    drop column position,
    add constraint price_pkey primary key (tenant_id, method_id, currency);
alter table shipping.method
    drop column max_height_mm,
    drop column max_width_mm,
    drop column max_length_mm,
    drop column max_grams,
    drop column excluded_tax_classes,
    drop column excluded_skus;
drop table shipping.box;
drop table shipping.zone;
