-- Keys for pages that anybody can read, and keys that are good only for so long, from some
-- addresses, so many times a minute. A key can be given a new secret while the one before
-- is still good for a while.
alter table platform.api_key
    add column kind                text   not null default 'secret' check (kind in ('secret', 'publishable')),
    add column origins             text[] not null default '{}', -- of pages that may use a publishable key
    add column allowed_ips         text[] not null default '{}', -- networks; from anywhere when there are none
    add column requests_per_minute integer check (requests_per_minute > 0), -- null: the shop's
    add column expires_at          timestamptz,
    add column last_used_at        timestamptz,
    add column previous_hash       bytea check (length(previous_hash) = 32),
    add column previous_until      timestamptz,
    -- What a publishable key may do is the program's to say: there is nothing in the row to widen.
    add constraint api_key_publishable check (kind = 'secret' or permissions = '{}'),
    add constraint api_key_previous check ((previous_hash is null) = (previous_until is null));
create unique index api_key_previous_hash on platform.api_key (previous_hash);

drop function platform.find_api_key(bytea);
create function platform.find_api_key(wanted bytea)
    returns table (tenant_id uuid, id uuid, kind text, permissions text[], origins text[], allowed_ips text[], requests_per_minute integer, good_for double precision)
    language plpgsql set enable_seqscan = off set jit = off as $$ -- the kept plan must suit full tables, not those of the first call
begin
    perform set_config('app.all_tenants', 'on', true);
    -- good_for is in seconds by the database's clock, null without an end: programs differ about what time it is.
    return query
        select k.tenant_id, k.id, k.kind, k.permissions, k.origins, k.allowed_ips, k.requests_per_minute,
               extract(epoch from least(k.expires_at, case when k.previous_hash = wanted then k.previous_until end) - clock_timestamp())::double precision
        from platform.api_key k
        where (k.hash = wanted or k.previous_hash = wanted and k.previous_until > clock_timestamp())
          and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp());
    perform set_config('app.all_tenants', 'off', true);
end $$;
