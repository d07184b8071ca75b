-- Who buys, with an account or without one.
create table identity.customer (
    tenant_id    uuid        not null default platform.current_tenant(),
    id           uuid        not null,
    registered   boolean     not null default false, -- has an account, whose address is theirs
    email        text        not null, -- as it was written
    email_key    text        not null, -- as it is compared
    name         text        not null default '',
    phone        text        not null default '',
    locale       text        not null default '',
    marketing    boolean     not null default false,
    marketing_at timestamptz,                        -- when they last said so, yes or no
    version      bigint      not null default 1,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    primary key (tenant_id, id),
    -- Whoever signs up with an address that the shop has noted is not its owner yet: both
    -- may be there, until the address is proven.
    constraint customer_email_key unique (tenant_id, email_key, registered)
);
create index customer_by_creation on identity.customer (tenant_id, created_at, id);
create index customer_by_email on identity.customer (tenant_id, email_key text_pattern_ops);
create index customer_by_name on identity.customer (tenant_id, lower(name) text_pattern_ops);

create table identity.customer_group (
    tenant_id   uuid not null default platform.current_tenant(),
    name        text not null check (name <> ''),
    customer_id uuid not null,
    primary key (tenant_id, name, customer_id),
    foreign key (tenant_id, customer_id) references identity.customer on delete cascade
);
create index customer_group_by_customer on identity.customer_group (tenant_id, customer_id);

create table identity.customer_note (
    tenant_id   uuid        not null default platform.current_tenant(),
    id          uuid        not null,
    customer_id uuid        not null,
    text        text        not null check (text <> ''),
    author      text        not null, -- an actor
    created_at  timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, customer_id) references identity.customer on delete cascade
);
create index customer_note_by_customer on identity.customer_note (tenant_id, customer_id, created_at, id);

create table identity.address (
    tenant_id        uuid        not null default platform.current_tenant(),
    id               uuid        not null,
    customer_id      uuid        not null,
    name             text        not null,
    line1            text        not null,
    line2            text        not null,
    city             text        not null,
    region           text        not null,
    postal_code      text        not null,
    country          char(2)     not null,
    phone            text        not null,
    default_shipping boolean     not null,
    default_billing  boolean     not null,
    version          bigint      not null default 1,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, customer_id) references identity.customer on delete cascade
);
create index address_by_customer on identity.address (tenant_id, customer_id, created_at, id);
create unique index address_default_shipping on identity.address (tenant_id, customer_id) where default_shipping;
create unique index address_default_billing on identity.address (tenant_id, customer_id) where default_billing;

do $$
declare t text;
begin
    foreach t in array array['customer', 'customer_group', 'customer_note', 'address'] loop
        execute format('alter table identity.%I enable row level security', t);
        execute format('alter table identity.%I force row level security', t);
        execute format('create policy tenant on identity.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update, delete on identity.customer, identity.customer_group, identity.customer_note, identity.address to fusion_app;
grant delete on identity.account to fusion_app; -- an erasure
