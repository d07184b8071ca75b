-- Who can sign in, and where they have: accounts, their sessions, and what proves who they are.
create schema if not exists identity;

create table identity.account (
    tenant_id         uuid        not null default platform.current_tenant(),
    id                uuid        not null,
    kind              text        not null check (kind in ('staff', 'customer')),
    email             text        not null, -- as it was written
    email_key         text        not null, -- as it is compared: trimmed, lower case, NFC
    name              text        not null default '',
    password_hash     text,                 -- PHC string; null until an invitation is accepted
    customer_id       uuid,                 -- whose own things a customer's are
    roles             text[]      not null default '{}',
    status            text        not null check (status in ('invited', 'active', 'disabled')),
    email_verified_at timestamptz,
    epoch             bigint      not null default 1, -- a session of an earlier one is over
    version           bigint      not null default 1,
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    primary key (tenant_id, id),
    constraint account_email_key unique (tenant_id, email_key),
    constraint account_customer_key unique (tenant_id, customer_id),
    constraint account_customer_check check ((kind = 'customer') = (customer_id is not null) and (kind = 'staff' or roles = '{}'))
);
create index account_by_kind on identity.account (tenant_id, kind, created_at, id);

create table identity.session (
    tenant_id    uuid        not null default platform.current_tenant(),
    id           uuid        not null,
    account_id   uuid        not null,
    epoch        bigint      not null, -- the account's, when its password was verified
    ip           text        not null,
    user_agent   text        not null,
    amr          text[]      not null, -- how its owner proved to be it (RFC 8176): pwd, otp
    created_at   timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at   timestamptz not null,
    ended_at     timestamptz,
    primary key (tenant_id, id),
    foreign key (tenant_id, account_id) references identity.account
);
create index session_by_account on identity.session (tenant_id, account_id, created_at, id);

-- The family of a refresh token is its session.
create table identity.refresh_token (
    tenant_id  uuid        not null default platform.current_tenant(),
    hash       bytea       not null,
    session_id uuid        not null,
    expires_at timestamptz not null,
    used_at    timestamptz,
    primary key (tenant_id, hash),
    foreign key (tenant_id, session_id) references identity.session
);
create index refresh_token_by_session on identity.refresh_token (tenant_id, session_id, expires_at);

-- Attempts to sign in, counted before they are verified. The subject is a hash, so that
-- nobody learns from it who was tried.
create table identity.login_guard (
    tenant_id    uuid        not null default platform.current_tenant(),
    subject      bytea       not null,
    fails        int         not null,
    last_at      timestamptz not null,
    locked_until timestamptz,
    primary key (tenant_id, subject)
);

-- Browsers in which an account has signed in before: each has attempts of its own, so that
-- strangers who guess do not lock out the owner.
create table identity.device (
    tenant_id    uuid        not null default platform.current_tenant(),
    hash         bytea       not null,
    account_id   uuid        not null,
    last_seen_at timestamptz not null,
    primary key (tenant_id, hash, account_id),
    foreign key (tenant_id, account_id) references identity.account
);
create index device_by_account on identity.device (tenant_id, account_id, last_seen_at);

create table identity.one_time_token (
    tenant_id  uuid        not null default platform.current_tenant(),
    hash       bytea       not null,
    purpose    text        not null check (purpose in ('verify', 'change', 'reset', 'invite')),
    account_id uuid        not null,
    bound      bytea       not null, -- SHA-256 of what must not have changed until it is used
    email      text,                 -- the new one, of a change
    expires_at timestamptz not null,
    used_at    timestamptz,
    primary key (tenant_id, hash),
    foreign key (tenant_id, account_id) references identity.account
);
create index one_time_token_by_account on identity.one_time_token (tenant_id, account_id, purpose, expires_at);

create table identity.totp (
    tenant_id    uuid        not null default platform.current_tenant(),
    account_id   uuid        not null,
    secret       bytea       not null, -- sealed
    created_at   timestamptz not null,
    confirmed_at timestamptz,
    last_step    bigint      not null default 0, -- RFC 6238, 5.2: a code is accepted once
    primary key (tenant_id, account_id),
    foreign key (tenant_id, account_id) references identity.account
);

create table identity.recovery_code (
    tenant_id  uuid        not null default platform.current_tenant(),
    account_id uuid        not null,
    hash       bytea       not null,
    used_at    timestamptz,
    primary key (tenant_id, account_id, hash),
    foreign key (tenant_id, account_id) references identity.account
);

create table identity.settings (
    tenant_id           uuid        not null default platform.current_tenant(),
    staff_second_factor boolean     not null,
    version             bigint      not null,
    updated_at          timestamptz not null,
    primary key (tenant_id)
);

do $$
declare t text;
begin
    foreach t in array array['account', 'session', 'refresh_token', 'login_guard', 'device', 'one_time_token', 'totp', 'recovery_code', 'settings'] loop
        execute format('alter table identity.%I enable row level security', t);
        execute format('alter table identity.%I force row level security', t);
        execute format('create policy tenant on identity.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema identity to fusion_app;
grant select, insert, update on all tables in schema identity to fusion_app;
grant delete on identity.session, identity.refresh_token, identity.login_guard, identity.device, identity.one_time_token, identity.totp, identity.recovery_code to fusion_app;
