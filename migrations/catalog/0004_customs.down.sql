alter table catalog.variant
    drop column origin,
    drop column hs_code;
