-- What a basket costs: how a shop computes, its tax rates, and its discounts with what was
-- used of them.
create schema if not exists pricing;

create table pricing.settings (
    tenant_id          uuid        not null default platform.current_tenant() primary key,
    prices_include_tax boolean     not null,
    rounding           text        not null check (rounding in ('line', 'order')),
    mode               text        not null check (mode in ('half_up', 'half_even')),
    country            text        not null, -- of the shop; empty: it has not said
    region             text        not null,
    shipping_tax       text        not null, -- a tax class; empty: as the goods
    version            bigint      not null default 1,
    -- Counts the changes of all rules of the shop. Whoever changes one locks this row.
    rules              bigint      not null default 0,
    updated_at         timestamptz not null
);

create table pricing.tax_rate (
    tenant_id     uuid        not null default platform.current_tenant(),
    id            uuid        not null,
    name          text        not null check (name <> ''),
    country       char(2)     not null,
    region        text        not null, -- empty: the whole country
    postal_prefix text        not null, -- empty: wherever in the region
    tax_class     text        not null check (tax_class <> ''),
    percent       bigint      not null check (percent between 0 and 10000000), -- ten-thousandths
    priority      smallint    not null,
    compound      boolean     not null,
    valid_from    timestamptz,
    valid_until   timestamptz,
    version       bigint      not null default 1,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    primary key (tenant_id, id),
    constraint tax_rate_window_check check (valid_from < valid_until)
);
create index tax_rate_by_place on pricing.tax_rate (tenant_id, country, region, postal_prefix, tax_class, id);

create table pricing.discount (
    tenant_id          uuid        not null default platform.current_tenant(),
    id                 uuid        not null,
    name               text        not null check (name <> ''),
    status             text        not null check (status in ('active', 'disabled', 'archived')),
    automatic          boolean     not null,
    effect             text        not null check (effect in ('percent', 'fixed', 'fixed_price', 'buy_x_get_y', 'free_shipping')),
    percent            bigint      not null check (percent between 0 and 1000000), -- ten-thousandths
    amount_minor       bigint      not null check (amount_minor >= 0),
    currency           text        not null, -- empty: any
    skus               text[]      not null,
    product_ids        text[]      not null,
    get_skus           text[]      not null,
    get_product_ids    text[]      not null,
    buy_quantity       bigint      not null,
    get_quantity       bigint      not null,
    max_repeats        bigint      not null, -- 0: any number
    min_subtotal_minor bigint      not null,
    min_quantity       bigint      not null,
    groups             text[]      not null,
    first_order        boolean     not null,
    starts_at          timestamptz,
    ends_at            timestamptz,
    priority           integer     not null,
    exclusive          boolean     not null,
    stack_group        text        not null,
    max_uses           bigint      check (max_uses > 0),
    max_spend_minor    bigint      check (max_spend_minor > 0),
    max_uses_per_buyer bigint      check (max_uses_per_buyer > 0),
    version            bigint      not null default 1,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    primary key (tenant_id, id),
    constraint discount_window_check check (starts_at < ends_at),
    constraint discount_bundle_check check (effect <> 'buy_x_get_y' or buy_quantity > 0 and get_quantity > 0)
);
create index discount_by_creation on pricing.discount (tenant_id, status, created_at, id);

create table pricing.code (
    tenant_id   uuid   not null default platform.current_tenant(),
    code        text   not null check (code = upper(code) and code <> ''),
    discount_id uuid   not null,
    max_uses    bigint check (max_uses > 0), -- of this code; null: the discount's own limits are all
    uses        bigint not null default 0,   -- counted only where they are limited
    primary key (tenant_id, code),
    foreign key (tenant_id, discount_id) references pricing.discount,
    constraint code_uses_check check (uses between 0 and max_uses)
);
create index code_by_discount on pricing.code (tenant_id, discount_id, code);

-- What was used of a discount that is limited. Others have no row here, so that nobody waits
-- for a counter that nobody reads.
create table pricing.budget (
    tenant_id       uuid   not null default platform.current_tenant(),
    discount_id     uuid   not null,
    max_uses        bigint,
    max_spend_minor bigint,
    uses            bigint not null default 0,
    spent_minor     bigint not null default 0,
    primary key (tenant_id, discount_id),
    foreign key (tenant_id, discount_id) references pricing.discount,
    -- the last line of defence: nothing is given twice
    constraint budget_uses_check check (uses between 0 and max_uses),
    constraint budget_spent_check check (spent_minor between 0 and max_spend_minor)
) with (fillfactor = 50); -- every use writes the row anew

-- How often a buyer used a discount that each may use so many times. A buyer is a customer's
-- id, or a hash of an address.
create table pricing.buyer_use (
    tenant_id   uuid   not null default platform.current_tenant(),
    discount_id uuid   not null,
    buyer       text   not null check (buyer <> ''),
    uses        bigint not null check (uses >= 0),
    primary key (tenant_id, discount_id, buyer)
);
create index buyer_use_by_buyer on pricing.buyer_use (tenant_id, buyer);

-- The discounts of orders. There is no reference to the discount: every order would lock it.
create table pricing.redemption (
    tenant_id    uuid        not null default platform.current_tenant(),
    order_id     uuid        not null,
    discount_id  uuid        not null,
    code         text        not null, -- empty: it applied by itself
    amount_minor bigint      not null check (amount_minor >= 0),
    currency     char(3)     not null,
    customer_id  text, -- whom the buyer said to be: a customer's id, or a name that the shop has for a guest; null: nobody
    email_key    text, -- a hash of the address, as buyer_use counts it
    redeemed_at  timestamptz not null,
    returned_at  timestamptz, -- when the order was given up
    primary key (tenant_id, order_id, discount_id)
);
create index redemption_by_discount on pricing.redemption (tenant_id, discount_id);
create index redemption_by_customer on pricing.redemption (tenant_id, customer_id) where customer_id is not null;
create index redemption_by_email on pricing.redemption (tenant_id, email_key) where email_key is not null;

do $$
declare t text;
begin
    foreach t in array array['settings', 'tax_rate', 'discount', 'code', 'budget', 'buyer_use', 'redemption'] loop
        execute format('alter table pricing.%I enable row level security', t);
        execute format('alter table pricing.%I force row level security', t);
        execute format('create policy tenant on pricing.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema pricing to fusion_app;
grant select, insert, update on all tables in schema pricing to fusion_app;
grant delete on pricing.tax_rate, pricing.budget, pricing.buyer_use to fusion_app;
