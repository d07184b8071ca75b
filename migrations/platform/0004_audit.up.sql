-- Who changed what: a row for each call that changes something, written in its transaction,
-- and for each security event. Rows are only added; a chain of hashes, made shortly after,
-- shows when somebody who may do everything has changed one all the same.

create sequence platform.audit_seq minvalue 0;
-- Draws 0: see platform.event_seq.
select nextval('platform.audit_seq');
create table platform.audit (
    tenant_id    uuid        not null default platform.current_tenant(),
    seq          bigint      not null default nextval('platform.audit_seq'),
    recorded_at  timestamptz not null default now(),
    id           uuid        not null,
    actor        text        not null,
    on_behalf_of text        not null,
    action       text        not null, -- the operation, or a security event
    entity       text        not null,
    entity_id    text        not null,
    before       json, -- json, not jsonb: the hash is of the text
    after        json,
    reason       text        not null,
    status       smallint    not null,
    ip           text        not null,
    user_agent   text        not null,
    request_id   text        not null,
    primary key (tenant_id, seq, recorded_at)
) partition by range (recorded_at);
create index audit_by_entity on platform.audit (tenant_id, entity, entity_id, seq);
create index audit_by_seq on platform.audit (seq); -- sealed across merchants
create table platform.audit_default partition of platform.audit default;

-- The chain of each merchant: hash is the SHA-256 of prev and of the row with that seq.
create table platform.audit_seal (
    tenant_id   uuid        not null,
    seq         bigint      not null,
    recorded_at timestamptz not null, -- the row's
    prev        bytea       not null check (length(prev) = 32),
    hash        bytea       not null check (length(hash) = 32),
    primary key (tenant_id, seq, recorded_at)
) partition by range (recorded_at);
create table platform.audit_seal_default partition of platform.audit_seal default;

-- Up to which seq everything is sealed. Its row lock makes one program at a time the sealer.
create table platform.audit_sealed (through bigint not null);
insert into platform.audit_sealed values (0);

-- Where a chain goes on that had its beginning dropped for its age.
create table platform.audit_retired (
    tenant_id uuid        primary key,
    seq       bigint      not null,
    hash      bytea       not null check (length(hash) = 32),
    until     timestamptz not null
);

-- As platform.fence() and platform.log_settled(), for audit_seq.
create function platform.audit_fence() returns void language sql volatile
    as $$ select pg_advisory_xact_lock_shared((71::bigint << 48) | last_value) from platform.audit_seq $$;

create function platform.audit_settled(last bigint) returns bigint language sql volatile
    as $$ select coalesce(min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1)), last)
          from pg_locks
          where locktype = 'advisory' and objsubid = 1 and (classid::bigint >> 16) = 71
            and database = (select oid from pg_database where datname = current_database()) $$;

create function platform.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is never changed' using errcode = 'insufficient_privilege';
end $$;

-- Months are made ahead of time for the audit log as well.
create or replace function platform.maintain_partitions() returns void language plpgsql security definer
    set search_path = pg_catalog, platform as $$
declare
    parent text;
    first date;
    part   record;
begin
    foreach parent in array array['event', 'inbox', 'audit', 'audit_seal'] loop
        for i in 0..2 loop
            first := date_trunc('month', now() at time zone 'UTC') + make_interval(months => i);
            if to_regclass(format('platform.%I', parent || to_char(first, '_YYYY_MM'))) is null then
                begin
                    execute format('create table platform.%I partition of platform.%I for values from (%L) to (%L)',
                        parent || to_char(first, '_YYYY_MM'), parent,
                        first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
                    execute format('alter table platform.%I enable row level security', parent || to_char(first, '_YYYY_MM'));
                    execute format('alter table platform.%I force row level security', parent || to_char(first, '_YYYY_MM'));
                    if parent like 'audit%' then -- what the table above has for its rows, it has not for this
                        execute format('create trigger append_only_whole before truncate on platform.%I execute function platform.refuse_change()',
                            parent || to_char(first, '_YYYY_MM'));
                    end if;
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

-- Drops the months of the audit log that ended longer ago than keep and are sealed, and says
-- where each chain that lost its beginning goes on. A row of a dropped month can have a
-- later seq than one that is kept: its seal stays, so that the chain has no gap. It runs as
-- the owner because it is DDL.
create function platform.retire_audit(keep interval)
    returns table (tenant_id uuid, seq bigint, hash bytea, until timestamptz)
    language plpgsql security definer set search_path = pg_catalog, platform as $$
#variable_conflict use_column
declare
    part      record;
    seals     text;
    starts    timestamptz;
    ends      timestamptz;
    unsealed  boolean;
    orphans   platform.audit_seal[];
begin
    if keep < interval '30 days' or not platform.sees_all_tenants() then
        raise exception 'the audit log is kept for 30 days at least, and retired for all at once';
    end if;
    for part in select c.relname from pg_inherits h join pg_class c on c.oid = h.inhrelid
                where h.inhparent = 'platform.audit'::regclass and c.relname ~ '^audit_\d{4}_\d{2}$' order by c.relname loop
        starts := to_date(right(part.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC';
        ends := (to_date(right(part.relname, 7), 'YYYY_MM') + interval '1 month') at time zone 'UTC';
        exit when ends > now() - keep;
        execute format('select exists (select from platform.%I where seq > (select through from platform.audit_sealed))', part.relname) into unsealed;
        exit when unsealed;
        seals := replace(part.relname, 'audit_', 'audit_seal_');
        if to_regclass('platform.' || seals) is not null then
            execute format($q$
                with mine as (
                    select tenant_id, coalesce((
                        select min(a.seq) from platform.audit a where a.tenant_id = s.tenant_id and (a.recorded_at < $1 or a.recorded_at >= $2)), 9223372036854775807) first
                    from (select distinct tenant_id from platform.%1$I) s
                ), last as (
                    select distinct on (s.tenant_id) s.tenant_id, s.seq, s.hash
                    from platform.%1$I s join mine m on m.tenant_id = s.tenant_id and s.seq < m.first order by s.tenant_id, s.seq desc
                )
                insert into platform.audit_retired as old (tenant_id, seq, hash, until)
                select m.tenant_id, coalesce(l.seq, 0), coalesce(l.hash, decode(repeat('00', 32), 'hex')), $2 from mine m left join last l on l.tenant_id = m.tenant_id
                on conflict (tenant_id) do update set until = excluded.until, seq = greatest(old.seq, excluded.seq),
                    hash = case when excluded.seq > old.seq then excluded.hash else old.hash end$q$, seals) using starts, ends;
            execute format($q$
                select array_agg(s) from platform.audit_seal s join platform.audit_retired r on r.tenant_id = s.tenant_id
                where s.tableoid = %L::regclass and s.seq > r.seq$q$, 'platform.' || seals) into orphans;
            execute format('drop table platform.%I', seals);
            insert into platform.audit_seal select * from unnest(orphans);
        end if;
        execute format('drop table platform.%I', part.relname);
        return query select r.tenant_id, r.seq, r.hash, r.until from platform.audit_retired r where r.until = ends;
    end loop;
end $$;
revoke all on function platform.retire_audit(interval) from public;

do $$
declare t text;
begin
    foreach t in array array['audit', 'audit_default', 'audit_seal', 'audit_seal_default', 'audit_retired'] loop
        execute format('alter table platform.%I enable row level security', t);
        execute format('alter table platform.%I force row level security', t);
    end loop;
    foreach t in array array['audit', 'audit_seal', 'audit_retired'] loop
        execute format($p$create policy tenant on platform.%I
            using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))
            with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))$p$, t);
    end loop;
    foreach t in array array['audit', 'audit_seal'] loop
        execute format('create trigger append_only before update or delete on platform.%I for each row execute function platform.refuse_change()', t);
        execute format('create trigger append_only_whole before truncate on platform.%I execute function platform.refuse_change()', t);
        execute format('create trigger append_only_whole before truncate on platform.%I execute function platform.refuse_change()', t || '_default');
    end loop;
end $$;
select platform.maintain_partitions();

grant usage, select on sequence platform.audit_seq to fusion_app;
grant select, insert on platform.audit, platform.audit_seal to fusion_app;
grant select on platform.audit_retired to fusion_app;
grant select, update on platform.audit_sealed to fusion_app;
grant execute on function platform.retire_audit(interval) to fusion_app;
