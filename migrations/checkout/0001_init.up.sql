-- Carts. One is open until it is placed as an order, poured into another one of its
-- customer's, or has been left alone for too long.
create schema if not exists checkout;

create table checkout.cart (
    tenant_id          uuid        not null default platform.current_tenant(),
    id                 uuid        not null,
    status             text        not null check (status in ('open', 'placed', 'merged', 'expired')),
    ticket             bytea,                -- hash of the token of a guest
    customer_id        text        not null, -- empty: a guest's
    currency           text        not null, -- empty: that of the first line
    email              text,
    shipping_address   jsonb,
    billing_address    jsonb,
    shipping_method_id text        not null, -- empty: none is chosen
    codes              text[]      not null,
    metadata           jsonb       not null,
    hold_id            uuid,                 -- of the stock of its lines
    hold_expires_at    timestamptz,
    held_since         timestamptz,          -- from when on it has held stock, of whatever was in it
    -- what the buyer was shown last, beside what lines say
    shown              jsonb       not null,
    order_id           uuid,                 -- that it has become
    abandoned_at       timestamptz,          -- when it was said that it is left alone
    version            bigint      not null default 1,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    primary key (tenant_id, id),
    constraint cart_order_check check ((status = 'placed') = (order_id is not null))
) with (fillfactor = 70); -- every change writes the row anew
create index cart_of_customer on checkout.cart (tenant_id, customer_id, updated_at) where customer_id <> '';
create index cart_by_age on checkout.cart (tenant_id, updated_at) where status = 'open' and abandoned_at is null;
create index cart_left_alone on checkout.cart (tenant_id, updated_at) where status = 'open' and abandoned_at is not null;
create index cart_over on checkout.cart (tenant_id, updated_at) where status in ('merged', 'expired');
create index cart_by_email on checkout.cart (tenant_id, lower(email)) where email is not null;

create table checkout.line (
    tenant_id   uuid    not null default platform.current_tenant(),
    cart_id     uuid    not null,
    id          uuid    not null,
    position    bigint  not null,
    sku         text    not null,
    quantity    bigint  not null check (quantity > 0),
    product_id  uuid    not null,
    -- as the buyer was shown it last
    name        text    not null,
    price_minor bigint  not null,
    available   bigint,           -- less than the quantity; null: enough
    gone        boolean not null, -- it is not for sale
    primary key (tenant_id, cart_id, id),
    foreign key (tenant_id, cart_id) references checkout.cart on delete cascade,
    constraint line_sku_key unique (tenant_id, cart_id, sku)
) with (fillfactor = 70);

do $$
declare t text;
begin
    foreach t in array array['cart', 'line'] loop
        execute format('alter table checkout.%I enable row level security', t);
        execute format('alter table checkout.%I force row level security', t);
        execute format('create policy tenant on checkout.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema checkout to fusion_app;
grant select, insert, update, delete on all tables in schema checkout to fusion_app;
