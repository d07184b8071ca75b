-- How a shop sends what it sells, and what that costs: a method, with a price in each
-- currency that it is offered in.
create schema if not exists shipping;

create table shipping.method (
    tenant_id    uuid        not null default platform.current_tenant(),
    id           uuid        not null,
    name         text        not null check (name <> ''),
    description  text        not null,
    -- countries ("PT") and regions of countries ("US-CA"); none: everywhere
    destinations text[]      not null,
    tax_class    text        not null, -- empty: as the goods
    active       boolean     not null,
    position     bigint      not null,
    version      bigint      not null default 1,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    primary key (tenant_id, id)
);

create table shipping.price (
    tenant_id          uuid    not null default platform.current_tenant(),
    method_id          uuid    not null,
    currency           char(3) not null,
    price_minor        bigint  not null check (price_minor >= 0),
    free_from_minor    bigint, -- subtotals from which it costs nothing
    min_subtotal_minor bigint,
    max_subtotal_minor bigint,
    primary key (tenant_id, method_id, currency),
    foreign key (tenant_id, method_id) references shipping.method on delete cascade,
    constraint price_subtotal_check check (min_subtotal_minor <= max_subtotal_minor)
);

do $$
declare t text;
begin
    foreach t in array array['method', 'price'] loop
        execute format('alter table shipping.%I enable row level security', t);
        execute format('alter table shipping.%I force row level security', t);
        execute format('create policy tenant on shipping.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema shipping to fusion_app;
grant select, insert, update, delete on all tables in schema shipping to fusion_app;
