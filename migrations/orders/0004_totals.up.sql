-- What an order's total is made of, as it was quoted when it was placed: nothing here is
-- ever computed again. Orders that were not a cart cost their lines and nothing else.
alter table orders.orders
    add column subtotal_minor          bigint, -- null: the total, of an order from before there was one
    add column discount_minor          bigint  not null default 0 check (discount_minor >= 0),
    add column shipping_minor          bigint  not null default 0 check (shipping_minor >= 0), -- before discounts
    add column tax_minor               bigint  not null default 0 check (tax_minor >= 0),
    add column tax_included            boolean not null default true,                          -- in prices
    add column shipping_method_id      text,
    add column shipping_name           text,
    add column shipping_discount_minor bigint  not null default 0,
    add column shipping_tax_minor      bigint  not null default 0,
    add column shipping_total_minor    bigint  not null default 0,
    add column billing_address         jsonb,
    add column cart_id                 uuid,
    add column ticket                  bytea, -- hash of what opens the order to a guest
    add constraint orders_cart_key unique (tenant_id, cart_id),
    -- the last lines of defence: an order costs what it is made of
    add constraint orders_total_check check (total_minor = subtotal_minor - discount_minor + shipping_minor + case when tax_included then 0 else tax_minor end),
    add constraint orders_shipping_check check (
        shipping_total_minor = shipping_minor - shipping_discount_minor + case when tax_included then 0 else shipping_tax_minor end);

-- total_minor is what the line costs in the end: without tax that is added it is what is
-- left of the price, with it that and the tax.
alter table orders.line
    add column discount_minor bigint not null default 0 check (discount_minor >= 0),
    add column tax_minor      bigint not null default 0 check (tax_minor >= 0),
    drop constraint line_total_check,
    add constraint line_total_check check (total_minor in (quantity * price_minor - discount_minor, quantity * price_minor - discount_minor + tax_minor));

-- Shares of lines; position 0 is shipping.
create table orders.tax_line (
    tenant_id    uuid     not null default platform.current_tenant(),
    order_id     uuid     not null,
    position     smallint not null,
    ordinal      smallint not null, -- of the line's taxes
    rate_id      text     not null, -- empty: nothing is taxed there
    name         text     not null,
    rate         text     not null, -- percent, decimal
    reason       text     not null,
    amount_minor bigint   not null,
    primary key (tenant_id, order_id, position, ordinal)
);

create table orders.discount_line (
    tenant_id    uuid     not null default platform.current_tenant(),
    order_id     uuid     not null,
    position     smallint not null,
    discount_id  text     not null,
    code         text     not null, -- empty: it applies by itself
    name         text     not null,
    amount_minor bigint   not null check (amount_minor >= 0),
    primary key (tenant_id, order_id, position, discount_id)
);

-- What each unit of a line has of it, in runs of equal ones: a refund of one looks it up.
create table orders.allocation (
    tenant_id      uuid     not null default platform.current_tenant(),
    order_id       uuid     not null,
    position       smallint not null,
    first_unit     bigint   not null, -- of the run; the first of the line is 1
    units          bigint   not null check (units > 0),
    discount_minor bigint   not null, -- of one unit, as the two after it
    net_minor      bigint   not null,
    tax_minor      bigint   not null,
    primary key (tenant_id, order_id, position, first_unit)
);

do $$
declare t text;
begin
    foreach t in array array['tax_line', 'discount_line', 'allocation'] loop
        execute format('alter table orders.%I enable row level security', t);
        execute format('alter table orders.%I force row level security', t);
        execute format('create policy tenant on orders.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert on orders.tax_line, orders.discount_line, orders.allocation to fusion_app;
