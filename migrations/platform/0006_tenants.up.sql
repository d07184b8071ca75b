-- Merchants as the operator keeps them: whether their shop is open, what they decided for
-- it, what they may use, and under which names it answers.
alter table platform.tenant
    add column status      text        not null default 'active' check (status in ('active', 'suspended', 'deleting', 'deleted')),
    add column reason      text        not null default '', -- of the status, in the operator's words
    add column settings    jsonb       not null default '{}',
    add column quotas      jsonb       not null default '{}',
    add column purge_after timestamptz, -- of one that is given up
    add column updated_at  timestamptz not null default now(),
    add column version     bigint      not null default 1;

create table platform.tenant_host (
    tenant_id uuid not null default platform.current_tenant() references platform.tenant,
    host      text not null check (host = lower(host) and length(host) between 1 and 253),
    primary key (tenant_id, host)
);
-- A name is looked up before its merchant is known, and belongs to one of them.
create unique index tenant_host_name on platform.tenant_host (host);

alter table platform.tenant_host enable row level security;
alter table platform.tenant_host force row level security;
create policy tenant on platform.tenant_host
    using (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()))
    with check (tenant_id = (select platform.current_tenant()) or (select platform.sees_all_tenants()));
grant insert, update on platform.tenant to fusion_app;
grant select, insert, delete on platform.tenant_host to fusion_app;

-- Whose shop answers under a name, in one round trip.
create function platform.find_tenant(named text) returns table (tenant_id uuid)
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    return query select h.tenant_id from platform.tenant_host h where h.host = named;
    perform set_config('app.all_tenants', 'off', true);
end $$;

-- What a request has to know of its merchant, in one round trip.
create function platform.tenant_terms(wanted uuid) returns table (status text, name text, settings jsonb, quotas jsonb)
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    return query select t.status, t.name, t.settings, t.quotas from platform.tenant t where t.tenant_id = wanted;
    perform set_config('app.all_tenants', 'off', true);
end $$;

-- What is kept of who changed what goes with the merchant, and in no other way.
create or replace function platform.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        perform from platform.tenant t where t.tenant_id = old.tenant_id and t.status = 'deleted' and t.purge_after <= clock_timestamp();
        if found then
            return old;
        end if;
    end if;
    raise exception 'the audit log is never changed' using errcode = 'insufficient_privilege';
end $$;

-- Removes what is kept of a merchant whose time is over: at most that many rows a call, those
-- that refer to others first and the merchant's own row last, from every table that has
-- a tenant_id, whichever module made it. It is called until it has nothing to tell. Only
-- rows of events and audits show that it needs the rights of the owner; even so row-level
-- security confines it to the one merchant.
create function platform.purge_tenant(gone uuid, most integer) returns table (relation text, removed bigint)
    language plpgsql security definer set search_path = pg_catalog, platform as $$
declare
    acting text := coalesce(current_setting('app.tenant_id', true), '');
    budget bigint := most;
    part   oid;
    n      bigint;
    total  bigint;
    target record;
begin
    perform set_config('app.tenant_id', gone::text, true);
    perform from platform.tenant t where t.tenant_id = gone and t.status = 'deleted' and t.purge_after <= clock_timestamp() for update;
    if not found then
        perform set_config('app.tenant_id', acting, true);
        return;
    end if;
    for target in
        with recursive fenced as (
            select c.oid, n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
            join pg_roles r on r.oid = c.relowner and r.rolname = current_user
            where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_'
        ), rank as (
            select f.oid, 0 as height from fenced f
            union
            select k.confrelid, r.height + 1 from rank r
            join pg_constraint k on k.conrelid = r.oid and k.contype = 'f' and k.confrelid <> k.conrelid and k.conparentid = 0
            where r.height < 100
        )
        select format('%I.%I', f.nspname, f.relname) as name, f.nspname || '.' || f.relname as shown,
               exists (select from pg_constraint k where k.conrelid = f.oid and k.confrelid = f.oid and k.contype = 'f') as nested
        from fenced f join rank r on r.oid = f.oid
        group by f.oid, f.nspname, f.relname
        order by f.nspname = 'platform' and f.relname = 'tenant', max(r.height), 2
    loop
        total := 0;
        while budget > 0 loop
            -- One partition at a time: a ctid counts within one.
            execute format('select t.tableoid from %s t where t.tenant_id = $1 limit 1', target.name) into part using gone;
            exit when part is null;
            -- Rows that refer to rows of the same table go together with those.
            execute format('delete from %1$s t where t.tenant_id = $1 and t.tableoid = $2
                            and t.ctid = any (array(select s.ctid from %1$s s where s.tenant_id = $1 and s.tableoid = $2 limit $3))', target.name)
                using gone, part, case when not target.nested then budget end;
            get diagnostics n = row_count;
            exit when n = 0;
            total := total + n;
            budget := budget - n;
        end loop;
        if total > 0 then
            relation := target.shown;
            removed := total;
            return next;
        end if;
        exit when budget <= 0;
    end loop;
    perform set_config('app.tenant_id', acting, true);
end $$;
revoke all on function platform.purge_tenant(uuid, integer) from public;
grant execute on function platform.purge_tenant(uuid, integer) to fusion_app;
