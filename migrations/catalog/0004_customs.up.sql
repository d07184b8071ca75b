-- What customs are told of a variant. Empty: not known.
alter table catalog.variant
    add column hs_code text not null default '' constraint variant_hs_code_check check (hs_code ~ '^([0-9]{6,12})?$'),
    add column origin  text not null default '' constraint variant_origin_check check (origin ~ '^([A-Z]{2})?$');
