-- Payments: what is wanted of a provider, what the provider says happened, and the ledger of it.
create schema if not exists payments;

-- A shop's accounts at providers.
create table payments.account (
    tenant_id       uuid        not null default platform.current_tenant(),
    id              uuid        not null,
    provider        text        not null,
    name            text        not null,
    secret_key      bytea,                -- sealed; null when the provider has none
    webhook_secrets bytea,                -- sealed: a list, the newest first
    enabled         boolean     not null,
    preferred       boolean     not null, -- used when a payment names no provider
    reconciled_at   timestamptz,          -- up to when all of its charges were compared
    version         bigint      not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (tenant_id, id)
);
create unique index account_preferred on payments.account (tenant_id) where preferred;
create unique index account_provider on payments.account (tenant_id, provider, id);

-- What there is to pay for an order. Its row is the lock on all that is paid for it.
create table payments.payable (
    tenant_id   uuid        not null default platform.current_tenant(),
    order_id    uuid        not null,
    customer_id text        not null,
    currency    char(3)     not null,
    total_minor bigint      not null check (total_minor >= 0),
    closed_at   timestamptz,
    reason      text check (reason in ('order_failed', 'order_cancelled')),
    primary key (tenant_id, order_id),
    constraint payable_closed_check check ((closed_at is null) = (reason is null))
) with (fillfactor = 80);

create table payments.payment (
    tenant_id        uuid        not null default platform.current_tenant(),
    id               uuid        not null,
    order_id         uuid        not null,
    account_id       uuid        not null,
    provider         text        not null,
    customer_id      text        not null,
    currency         char(3)     not null,
    amount_minor     bigint      not null check (amount_minor > 0),
    manual           boolean     not null, -- captured later
    status           text        not null check (status in ('requires_payment_method', 'requires_action', 'processing', 'authorized', 'succeeded', 'failed', 'cancelled')),
    attempt_id       uuid        not null, -- the latest
    authorized_minor bigint      not null default 0 check (authorized_minor >= 0),
    captured_minor   bigint      not null default 0 check (captured_minor >= 0),
    refunding_minor  bigint      not null default 0 check (refunding_minor >= 0),
    refunded_minor   bigint      not null default 0 check (refunded_minor >= 0),
    disputed_minor   bigint      not null default 0 check (disputed_minor >= 0),
    failure_code     text,
    failure_message  text,
    warning          text,                 -- the bank suspects fraud
    version          bigint      not null,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, order_id) references payments.payable,
    foreign key (tenant_id, account_id) references payments.account
) with (fillfactor = 80);
create index payment_by_order on payments.payment (tenant_id, order_id);
create index payment_by_creation on payments.payment (tenant_id, created_at, id);
create index payment_by_customer on payments.payment (tenant_id, customer_id, created_at, id);
create index payment_by_status on payments.payment (tenant_id, status, created_at, id);

-- One try to charge. Its id is what the provider is asked with, so that it happens once.
create table payments.attempt (
    tenant_id        uuid        not null default platform.current_tenant(),
    id               uuid        not null,
    payment_id       uuid        not null,
    account_id       uuid        not null,
    state            text        not null check (state in ('requested', 'unknown', 'requires_payment_method', 'requires_action', 'processing', 'authorized', 'succeeded', 'failed', 'cancelled')),
    reference        text,                 -- the provider's name of the charge
    method           text,
    return_url       text,
    amount_minor     bigint      not null check (amount_minor > 0),
    capturable_minor bigint      not null default 0 check (capturable_minor >= 0),
    captured_minor   bigint      not null default 0 check (captured_minor >= 0),
    fee_minor        bigint      not null default 0,
    client_secret    bytea,                -- sealed, and gone when the attempt is over
    next_action      text,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, payment_id) references payments.payment
) with (fillfactor = 80);
create index attempt_by_payment on payments.attempt (tenant_id, payment_id);
create unique index attempt_reference on payments.attempt (tenant_id, account_id, reference) where reference is not null;
create index attempt_undecided on payments.attempt (tenant_id, created_at) where state in ('requested', 'unknown');

-- A capture or a cancellation that somebody wants.
create table payments.operation (
    tenant_id    uuid        not null default platform.current_tenant(),
    id           uuid        not null,
    payment_id   uuid        not null,
    attempt_id   uuid        not null,
    kind         text        not null check (kind in ('capture', 'cancel')),
    amount_minor bigint      not null check (amount_minor >= 0),
    state        text        not null check (state in ('requested', 'done', 'failed')),
    failure      text,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, attempt_id) references payments.attempt
);
create unique index operation_open on payments.operation (tenant_id, attempt_id) where state = 'requested';

create table payments.refund (
    tenant_id       uuid        not null default platform.current_tenant(),
    id              uuid        not null,
    payment_id      uuid        not null,
    attempt_id      uuid        not null, -- the charge that the money comes from
    currency        char(3)     not null,
    amount_minor    bigint      not null check (amount_minor > 0),
    reason          text        not null,
    note            text,
    status          text        not null check (status in ('requested', 'processing', 'requires_action', 'succeeded', 'failed', 'cancelled')),
    reference       text,
    failure_code    text,
    failure_message text,
    actor           text        not null,
    once            uuid,                 -- names the request that asked for it, however often it is repeated
    version         bigint      not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, payment_id) references payments.payment,
    foreign key (tenant_id, attempt_id) references payments.attempt
) with (fillfactor = 80);
create index refund_by_payment on payments.refund (tenant_id, payment_id, created_at, id);
create unique index refund_once on payments.refund (tenant_id, once) where once is not null;
create index refund_undecided on payments.refund (tenant_id, created_at) where status in ('requested', 'processing', 'requires_action');

-- A buyer's objection at their bank.
create table payments.dispute (
    tenant_id       uuid        not null default platform.current_tenant(),
    account_id      uuid        not null,
    reference       text        not null, -- the provider's
    payment_id      uuid        not null,
    currency        char(3)     not null,
    amount_minor    bigint      not null,
    status          text        not null,
    reason          text        not null,
    due_by          timestamptz,
    withdrawn_minor bigint      not null,
    fee_minor       bigint      not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (tenant_id, account_id, reference),
    foreign key (tenant_id, payment_id) references payments.payment
);
create index dispute_by_payment on payments.dispute (tenant_id, payment_id);

-- Webhooks that were believed. What they say of a charge is old when it arrives, so that
-- only which charge they are about is kept: no body, and nothing of the buyer.
create table payments.notice (
    tenant_id   uuid        not null default platform.current_tenant(),
    account_id  uuid        not null,
    id          text        not null, -- the provider's
    type        text        not null,
    reference   text,                 -- of the charge; null when it is about none
    warning     text,
    received_at timestamptz not null,
    handled_at  timestamptz,
    primary key (tenant_id, account_id, id),
    foreign key (tenant_id, account_id) references payments.account
);
create index notice_waiting on payments.notice (tenant_id, received_at) where handled_at is null;

-- Charges at a provider that are nobody's here: for a person to look at.
create table payments.stray (
    tenant_id      uuid        not null default platform.current_tenant(),
    account_id     uuid        not null,
    reference      text        not null,
    currency       char(3)     not null,
    captured_minor bigint      not null,
    why            text        not null,
    seen_at        timestamptz not null,
    primary key (tenant_id, account_id, reference),
    foreign key (tenant_id, account_id) references payments.account
);

-- The ledger is double entry: positive amounts are debits, negative ones credits, and those
-- of one transaction add up to nothing. The source is what it was booked for, so that nothing
-- is booked twice.
create table payments.ledger_transaction (
    tenant_id  uuid        not null default platform.current_tenant(),
    id         uuid        not null,
    kind       text        not null,
    source     text        not null,
    payment_id uuid        not null,
    order_id   uuid        not null,
    account_id uuid        not null, -- at which provider
    booked_at  timestamptz not null,
    primary key (tenant_id, id),
    constraint ledger_once unique (tenant_id, kind, source)
);
create index ledger_by_payment on payments.ledger_transaction (tenant_id, payment_id);

create table payments.ledger_entry (
    tenant_id      uuid     not null default platform.current_tenant(),
    transaction_id uuid     not null,
    position       smallint not null,
    account        text     not null check (account in ('clearing', 'fees', 'sales', 'refunds', 'disputes')),
    currency       char(3)  not null,
    amount_minor   bigint   not null check (amount_minor <> 0),
    primary key (tenant_id, transaction_id, position),
    foreign key (tenant_id, transaction_id) references payments.ledger_transaction
);

-- The entries of a transaction are written by one statement, which is refused as a whole: a
-- constraint that is looked at later than its statement would fail somebody else's.
create function payments.check_balance() returns trigger language plpgsql as $$
begin
    if exists (select from added group by tenant_id, transaction_id, currency having sum(amount_minor) <> 0) then
        raise exception 'a transaction of the ledger does not add up to nothing' using errcode = 'check_violation', constraint = 'ledger_balance';
    end if;
    return null;
end $$;
create trigger balanced after insert on payments.ledger_entry referencing new table as added
    for each statement execute function payments.check_balance();

-- The ledger goes with the merchant, and in no other way.
create function payments.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and platform.may_purge(old.tenant_id) then
        return old;
    end if;
    raise exception 'the ledger is never changed' using errcode = 'insufficient_privilege';
end $$;

-- Charges of the providers that the shop keeps by itself: test, and manual.
create table payments.inhouse (
    tenant_id        uuid        not null default platform.current_tenant(),
    reference        text        not null,
    account_id       uuid        not null,
    attempt          text        not null,
    currency         char(3)     not null,
    amount_minor     bigint      not null,
    phase            text        not null,
    manual           boolean     not null,
    capturable_minor bigint      not null,
    captured_minor   bigint      not null,
    declined         text,
    next_action      text,
    refunds          jsonb       not null default '[]',
    keys             text[]      not null default '{}', -- of calls that were answered
    changed_at       timestamptz not null,
    primary key (tenant_id, reference),
    constraint inhouse_once unique (tenant_id, account_id, attempt)
) with (fillfactor = 80);
create index inhouse_by_change on payments.inhouse (tenant_id, account_id, changed_at);

do $$
declare t text;
begin
    foreach t in array array['account', 'payable', 'payment', 'attempt', 'operation', 'refund', 'dispute', 'notice', 'stray', 'ledger_transaction', 'ledger_entry', 'inhouse'] loop
        execute format('alter table payments.%I enable row level security', t);
        execute format('alter table payments.%I force row level security', t);
        execute format('create policy tenant on payments.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
    foreach t in array array['ledger_transaction', 'ledger_entry'] loop
        execute format('create trigger append_only before update or delete on payments.%I for each row execute function payments.refuse_change()', t);
        execute format('create trigger append_only_whole before truncate on payments.%I execute function payments.refuse_change()', t);
    end loop;
end $$;
grant usage on schema payments to fusion_app;
grant select, insert on all tables in schema payments to fusion_app;
grant update on payments.account, payments.payable, payments.payment, payments.attempt, payments.operation, payments.refund, payments.dispute, payments.notice, payments.stray, payments.inhouse to fusion_app;
grant delete on payments.account to fusion_app;
