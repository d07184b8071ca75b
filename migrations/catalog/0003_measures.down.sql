alter table catalog.variant
    drop constraint variant_sides_check,
    drop column height_mm,
    drop column width_mm,
    drop column length_mm,
    drop column weight_grams;
