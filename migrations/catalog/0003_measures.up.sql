-- What a variant weighs and how large it is: parcels are packed, and sending costs, by it.
-- 0: not known.
alter table catalog.variant
    add column weight_grams bigint not null default 0 constraint variant_weight_check check (weight_grams between 0 and 1000000),
    add column length_mm    bigint not null default 0,
    add column width_mm     bigint not null default 0,
    add column height_mm    bigint not null default 0,
    add constraint variant_sides_check check (
        (length_mm, width_mm, height_mm) = (0, 0, 0)
        or length_mm >= 1 and length_mm <= 10000 and width_mm >= 1 and width_mm <= 10000 and height_mm >= 1 and height_mm <= 10000);
