-- Products, their variants and prices. A simple product has one variant; SKU and
-- price belong to the variant, and a variant has one price a currency.
create schema if not exists catalog;

create table catalog.product (
    tenant_id   uuid        not null default platform.current_tenant(),
    id          uuid        not null,
    name        text        not null check (name <> ''),
    description text        not null,
    status      text        not null check (status in ('draft', 'active', 'archived')),
    version     bigint      not null default 1,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    primary key (tenant_id, id)
);
create index product_by_creation on catalog.product (tenant_id, status, created_at, id);

create table catalog.variant (
    tenant_id  uuid     not null default platform.current_tenant(),
    id         uuid     not null,
    product_id uuid     not null,
    position   smallint not null,
    sku        text     not null check (sku <> ''),
    primary key (tenant_id, id),
    constraint variant_sku_key unique (tenant_id, sku),
    constraint variant_position_key unique (tenant_id, product_id, position),
    foreign key (tenant_id, product_id) references catalog.product
);

create table catalog.price (
    tenant_id  uuid    not null default platform.current_tenant(),
    variant_id uuid    not null,
    currency   char(3) not null,
    minor      bigint  not null check (minor >= 0),
    -- The price that the product itself shows; the others are its prices elsewhere.
    is_default boolean not null,
    primary key (tenant_id, variant_id, currency),
    foreign key (tenant_id, variant_id) references catalog.variant
);
create unique index price_default_key on catalog.price (tenant_id, variant_id) where is_default;

do $$
declare t text;
begin
    foreach t in array array['product', 'variant', 'price'] loop
        execute format('alter table catalog.%I enable row level security', t);
        execute format('alter table catalog.%I force row level security', t);
        execute format('create policy tenant on catalog.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema catalog to fusion_app;
grant select, insert, update on all tables in schema catalog to fusion_app;
grant delete on catalog.price to fusion_app;
