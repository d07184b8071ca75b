alter table catalog.product drop column tax_class;
