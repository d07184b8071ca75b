-- What every module stands on: merchants, API keys, the event log with its
-- deliveries, idempotent answers and jobs.
--
-- Row-level security is enabled and FORCED on every table that holds a merchant's
-- rows. The program connects as fusion_app, which owns nothing. A transaction names
-- its merchant with set_config('app.tenant_id', …, true); the platform's own workers
-- see the platform's rows of every merchant while app.all_tenants is 'on', and no
-- module's rows, whose policies do not know that setting.
create schema if not exists platform;

-- The settings fall back to '' after a transaction, not to NULL: hence nullif.
create function platform.current_tenant() returns uuid language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

create function platform.sees_all_tenants() returns boolean language sql stable parallel safe
    return coalesce(current_setting('app.all_tenants', true), '') = 'on';

create table platform.tenant (
    tenant_id  uuid        primary key,
    slug       text        not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name       text        not null check (name <> ''),
    created_at timestamptz not null default now(),
    constraint tenant_slug_key unique (slug)
);
insert into platform.tenant (tenant_id, slug, name)
values ('00000000-0000-7000-8000-000000000001', 'default', 'Default shop');

create table platform.api_key (
    tenant_id   uuid        not null default platform.current_tenant() references platform.tenant,
    id          uuid        not null,
    name        text        not null check (name <> ''),
    prefix      text        not null,
    -- SHA-256 of the whole key. A key has 256 random bits: there is nothing to guess, so no slow hash.
    hash        bytea       not null check (length(hash) = 32),
    permissions text[]      not null,
    created_at  timestamptz not null default now(),
    revoked_at  timestamptz,
    primary key (tenant_id, id)
);
-- A credential is looked up before its merchant is known, so this one index has no tenant in front.
create unique index api_key_hash on platform.api_key (hash);

-- The one look-up by hash, in one round trip. What it may see ends with the call.
create function platform.find_api_key(wanted bytea)
    returns table (tenant_id uuid, id uuid, permissions text[])
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    return query select k.tenant_id, k.id, k.permissions from platform.api_key k where k.hash = wanted and k.revoked_at is null;
    perform set_config('app.all_tenants', 'off', true);
end $$;

-- Answers of commands, kept so that a repeated request is answered, not executed again.
create table platform.idempotency (
    tenant_id  uuid        not null default platform.current_tenant(),
    scope      text        not null, -- caller, method and path
    key        text        not null check (length(key) between 1 and 255),
    body_hash  bytea       not null,
    status     smallint    not null,
    headers    text        not null, -- JSON object
    body       bytea       not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, scope, key)
);
create index idempotency_age on platform.idempotency (created_at); -- pruned across merchants

create function platform.find_answer(tenant uuid, asked text, named text)
    returns table (body_hash bytea, status smallint, headers text, body bytea)
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    return query select i.body_hash, i.status, i.headers, i.body from platform.idempotency i
        where i.tenant_id = tenant and i.scope = asked and i.key = named and i.created_at > now() - interval '24 hours';
    perform set_config('app.all_tenants', 'off', true);
end $$;

-- The event log: every fact of every module, in the order of seq.
create sequence platform.event_seq minvalue 0;
-- Draws 0, so that last_value is at all times behind the next event: a sequence that was
-- never used shows the value that it is going to give.
select nextval('platform.event_seq');
create table platform.event (
    tenant_id      uuid        not null default platform.current_tenant(),
    seq            bigint      not null default nextval('platform.event_seq'),
    recorded_at    timestamptz not null default now(),
    id             uuid        not null,
    type           text        not null,
    version        smallint    not null,
    subject        text        not null,
    sequence       bigint      not null,
    occurred_at    timestamptz not null,
    correlation_id text        not null,
    causation_id   uuid,
    traceparent    text        not null,
    actor          text        not null,
    data           json        not null, -- json, not jsonb: kept as it was published
    primary key (tenant_id, seq, recorded_at)
) partition by range (recorded_at);
create index event_by_type on platform.event (tenant_id, type, seq);
create index event_by_id on platform.event (tenant_id, id);
create table platform.event_default partition of platform.event default;

-- Who hears of what. A row for each partition of a consumer; its row lock makes
-- one worker at a time the consumer of that partition, on however many replicas.
-- Rows stay when a process stops: what is published meanwhile waits for it.
create table platform.subscription (
    consumer   text        not null,
    part       smallint    not null,
    parts      smallint    not null,
    topic      text        not null,
    created_at timestamptz not null default now(),
    primary key (consumer, part)
);
create index subscription_by_topic on platform.subscription (topic);

-- What a consumer has still to handle: deleted in the transaction that handles it.
create table platform.delivery (
    tenant_id    uuid        not null default platform.current_tenant(),
    consumer     text        not null,
    part         smallint    not null,
    seq          bigint      not null,
    recorded_at  timestamptz not null default now(),
    subject      text        not null,
    attempts     smallint    not null default 0,
    available_at timestamptz not null default now(),
    parked_at    timestamptz,
    last_error   text,
    primary key (consumer, part, seq) -- claimed across merchants, in order
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- Behind a failing event wait its followers of the same subject.
create index delivery_failing on platform.delivery (consumer, subject, seq) where attempts > 0 and parked_at is null;
create index delivery_parked on platform.delivery (tenant_id, consumer, seq) where parked_at is not null;

-- What a consumer has handled: a second delivery of the same event does nothing.
create table platform.inbox (
    tenant_id   uuid        not null default platform.current_tenant(),
    consumer    text        not null,
    event_id    uuid        not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, consumer, event_id, recorded_at)
) partition by range (recorded_at);
create table platform.inbox_default partition of platform.inbox default;

-- Which (consumer, part) has something to do now. One statement, no transaction:
-- an idle shop asks this twice a second and hardly anything else.
create function platform.pending()
    returns table (consumer text, part smallint)
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    return query select s.consumer, s.part from platform.subscription s
        where exists (select from platform.delivery d
                      where d.consumer = s.consumer and d.part = s.part and d.parked_at is null and (d.attempts = 0 or d.available_at <= now()));
    perform set_config('app.all_tenants', 'off', true);
end $$;

-- A reader of the log that remembers how far it came must not pass an event whose
-- transaction has drawn its seq and not committed yet. So a publisher takes, before it
-- draws, a shared lock that says "mine come after this one"; log_settled() reads the
-- oldest such lock. No rows, no transaction ids: it survives restarts, restores and poolers.
create function platform.fence() returns void language sql volatile
    as $$ select pg_advisory_xact_lock_shared((70::bigint << 48) | last_value) from platform.event_seq $$;

create function platform.log_settled(last bigint) returns bigint language sql volatile
    as $$ select coalesce(min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1)), last)
          from pg_locks
          where locktype = 'advisory' and objsubid = 1 and (classid::bigint >> 16) = 70
            and database = (select oid from pg_database where datname = current_database()) $$;

-- Periodic work: whoever locks the row runs it, one replica at a time.
create table platform.job (
    name        text        primary key,
    next_run_at timestamptz not null default now(),
    last_run_at timestamptz,
    last_error  text
);

-- Makes the month's partitions of the log and the inbox ahead of time, and drops inboxes
-- that are older than any redelivery. It runs as the owner because it is DDL; it takes no
-- input and reads no row of a merchant.
create function platform.maintain_partitions() returns void language plpgsql security definer
    set search_path = pg_catalog, platform as $$
declare
    parent text;
    first date;
    part   record;
begin
    foreach parent in array array['event', 'inbox'] loop
        for i in 0..2 loop
            first := date_trunc('month', now() at time zone 'UTC') + make_interval(months => i);
            if to_regclass(format('platform.%I', parent || to_char(first, '_YYYY_MM'))) is null then
                begin
                    execute format('create table platform.%I partition of platform.%I for values from (%L) to (%L)',
                        parent || to_char(first, '_YYYY_MM'), parent,
                        first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
                    execute format('alter table platform.%I enable row level security', parent || to_char(first, '_YYYY_MM'));
                    execute format('alter table platform.%I force row level security', parent || to_char(first, '_YYYY_MM'));
                exception when check_violation then
                    null; -- the default partition holds rows of that month already: it keeps them
                end;
            end if;
        end loop;
    end loop;
    for part in select c.relname from pg_inherits h join pg_class c on c.oid = h.inhrelid
                where h.inhparent = 'platform.inbox'::regclass and c.relname ~ '^inbox_\d{4}_\d{2}$'
                  and to_date(right(c.relname, 7), 'YYYY_MM') + interval '2 months' < now() loop
        execute format('drop table platform.%I', part.relname);
    end loop;
    -- What a late consumer was given of older months has no partition of its own.
    delete from platform.inbox_default where recorded_at < now() - interval '2 months';
end $$;
revoke all on function platform.maintain_partitions() from public;
select platform.maintain_partitions();

do $$
declare t text;
begin
    foreach t in array array['tenant', 'api_key', 'idempotency', 'event', 'event_default', 'delivery', 'inbox', 'inbox_default'] loop
        execute format('alter table platform.%I enable row level security', t);
        execute format('alter table platform.%I force row level security', t);
    end loop;
    foreach t in array array['tenant', 'api_key', 'idempotency', 'event', 'delivery', 'inbox'] loop
        execute format($p$create policy tenant on platform.%I
            using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))
            with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))$p$, t);
    end loop;
end $$;

grant usage on schema platform to fusion_app;
grant usage, select on sequence platform.event_seq to fusion_app;
grant select on platform.tenant to fusion_app;
grant select, insert, update on platform.api_key to fusion_app;
grant select, insert, update, delete on platform.idempotency to fusion_app;
grant select, insert on platform.event to fusion_app; -- a fact is never changed
grant select, insert, update, delete on platform.delivery to fusion_app;
grant select, insert, delete on platform.inbox to fusion_app; -- delete: a replay
grant select, insert, update, delete on platform.subscription to fusion_app; -- update: its row lock
grant select, insert, update on platform.job to fusion_app;
grant execute on function platform.maintain_partitions() to fusion_app;
