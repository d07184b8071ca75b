-- Labels that are bought from carriers: with whose account, of which offer, and what they said.

-- A shop's accounts at carriers.
create table shipping.carrier_account (
    tenant_id       uuid        not null default platform.current_tenant(),
    id              uuid        not null,
    provider        text        not null,
    name            text        not null,
    secret_key      bytea,                -- sealed; null when the provider has none
    webhook_secrets bytea,                -- sealed: a list, the newest first
    enabled         boolean     not null,
    preferred       boolean     not null, -- takes shipments that name no carrier
    format          text        not null check (format in ('pdf', 'zpl')), -- of its labels
    version         bigint      not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (tenant_id, id)
);
create unique index carrier_account_preferred on shipping.carrier_account (tenant_id) where preferred;

-- The purchase of a shipment's label. There is one at a time.
create table shipping.purchase (
    tenant_id     uuid        not null default platform.current_tenant(),
    shipment_id   uuid        not null,
    account_id    uuid        not null,
    key           uuid        not null, -- of this try: bought again with it is the same label
    service       text        not null, -- that an offer has to be of
    strict        boolean     not null, -- no other will do
    rate          jsonb,                -- the offer; null: not chosen
    asked_at      timestamptz,          -- when it was bought, as far as we know; null: never
    reference     text,                 -- the carrier's, of the label; null: there is none
    currency      char(3),
    cost_minor    bigint,
    document      text        not null check (document in ('none', 'awaited', 'kept')),
    created_at    timestamptz not null,
    primary key (tenant_id, shipment_id),
    foreign key (tenant_id, shipment_id) references shipping.shipment,
    foreign key (tenant_id, account_id) references shipping.carrier_account
) with (fillfactor = 80);
create index purchase_by_reference on shipping.purchase (tenant_id, account_id, reference) where reference is not null;

-- What a carrier wants stuck on a parcel.
create table shipping.document (
    tenant_id   uuid  not null default platform.current_tenant(),
    shipment_id uuid  not null,
    format      text  not null check (format in ('pdf', 'zpl')),
    body        bytea not null check (octet_length(body) <= 8388608),
    primary key (tenant_id, shipment_id),
    foreign key (tenant_id, shipment_id) references shipping.shipment
);

-- Webhooks that were believed.
create table shipping.notice (
    tenant_id       uuid        not null default platform.current_tenant(),
    account_id      uuid        not null,
    id              text        not null, -- the carrier's
    type            text        not null,
    reference       text        not null default '',
    taken_by        text        not null default '',
    tracking_number text        not null default '',
    tracking        jsonb,                -- null: it tells of something else
    void            text        not null default '',
    received_at     timestamptz not null,
    handled_at      timestamptz,
    primary key (tenant_id, account_id, id),
    foreign key (tenant_id, account_id) references shipping.carrier_account
);
create index notice_handled on shipping.notice (tenant_id, received_at) where handled_at is not null;

do $$
declare t text;
begin
    foreach t in array array['carrier_account', 'purchase', 'document', 'notice'] loop
        execute format('alter table shipping.%I enable row level security', t);
        execute format('alter table shipping.%I force row level security', t);
        execute format('create policy tenant on shipping.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update, delete on shipping.carrier_account, shipping.document, shipping.notice to fusion_app;
grant select, insert, update on shipping.purchase to fusion_app;
