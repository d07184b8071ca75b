-- Identity providers of a shop, at which its staff or its customers sign in, and whom of
-- theirs we know.
create table identity.oidc_provider (
    tenant_id     uuid        not null default platform.current_tenant(),
    id            uuid        not null,
    slug          text        not null, -- its name in addresses
    name          text        not null,
    kind          text        not null check (kind in ('staff', 'customer')),
    issuer        text        not null,
    client_id     text        not null,
    client_secret bytea,                -- sealed; null for a public client
    domains       text[]      not null, -- of e-mail addresses; empty: all
    roles         text[]      not null, -- of people who come for the first time; empty: nobody does
    accept_tokens boolean     not null,
    audience      text        not null, -- of those tokens
    enabled       boolean     not null,
    version       bigint      not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    primary key (tenant_id, id),
    constraint oidc_provider_slug_key unique (tenant_id, slug),
    constraint oidc_provider_audience_check check (not accept_tokens or audience <> '')
);
create index oidc_provider_by_issuer on identity.oidc_provider (tenant_id, issuer);

-- A person is who an issuer says it is (OpenID Connect Core, 2): a subject is never given
-- to somebody else, as an e-mail address may be.
create table identity.oidc_link (
    tenant_id  uuid        not null default platform.current_tenant(),
    issuer     text        not null,
    subject    text        not null,
    account_id uuid        not null,
    created_at timestamptz not null,
    primary key (tenant_id, issuer, subject),
    foreign key (tenant_id, account_id) references identity.account on delete cascade
);
create index oidc_link_by_account on identity.oidc_link (tenant_id, account_id);

do $$
declare t text;
begin
    foreach t in array array['oidc_provider', 'oidc_link'] loop
        execute format('alter table identity.%I enable row level security', t);
        execute format('alter table identity.%I force row level security', t);
        execute format('create policy tenant on identity.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update, delete on identity.oidc_provider to fusion_app;
grant select, insert, delete on identity.oidc_link to fusion_app;
