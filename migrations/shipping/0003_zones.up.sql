-- Zones: sets of places that cost the same to send to.
create table shipping.zone (
    tenant_id  uuid        not null default platform.current_tenant(),
    id         uuid        not null,
    name       text        not null check (name <> ''),
    places     jsonb       not null, -- none: everywhere that no other zone is
    version    bigint      not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id)
);

-- Boxes that a shop sends in. They are replaced as a whole.
create table shipping.box (
    tenant_id  uuid     not null default platform.current_tenant(),
    position   smallint not null,
    name       text     not null check (name <> ''),
    length_mm  bigint   not null check (length_mm > 0), -- inside
    width_mm   bigint   not null check (width_mm > 0),
    height_mm  bigint   not null check (height_mm > 0),
    grams      bigint   not null check (grams >= 0),     -- empty
    max_grams  bigint   not null check (max_grams >= 0), -- with what is in it; 0: whatever it weighs
    primary key (tenant_id, position)
);

do $$
declare t text;
begin
    foreach t in array array['zone', 'box'] loop
        execute format('alter table shipping.%I enable row level security', t);
        execute format('alter table shipping.%I force row level security', t);
        execute format('create policy tenant on shipping.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update, delete on shipping.zone to fusion_app;
grant select, insert, delete on shipping.box to fusion_app;

-- What a method does not take.
alter table shipping.method
    add column excluded_skus        text[] not null default '{}',
    add column excluded_tax_classes text[] not null default '{}',
    add column max_grams            bigint not null default 0, -- of a parcel; 0: whatever it weighs
    add column max_length_mm        bigint not null default 0, -- of a parcel; 0: however large
    add column max_width_mm         bigint not null default 0,
    add column max_height_mm        bigint not null default 0;

-- Many prices a currency: the first of a zone, or else of none, that fits is the one.
alter table shipping.price
    add column position  smallint not null default 0,
    add column zone_id   uuid, -- null: wherever no price of the address's zone is
    add column min_grams bigint, -- of all parcels with their boxes
    add column max_grams bigint,
    add column min_items bigint,
    add column max_items bigint,
    add constraint price_grams_check check (min_grams <= max_grams),
    add constraint price_items_check check (min_items <= max_items),
    add constraint price_zone_fkey foreign key (tenant_id, zone_id) references shipping.zone,
    drop constraint price_pkey,
    add constraint price_pkey primary key (tenant_id, method_id, currency, position);
create index price_by_zone on shipping.price (tenant_id, zone_id) where zone_id is not null;
