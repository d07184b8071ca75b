-- How a product is taxed: by the rates of its class. What there is already is standard.
alter table catalog.product add column tax_class text not null default 'standard' check (tax_class <> '');
