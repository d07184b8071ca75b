create or replace function platform.fence() returns void language sql volatile
    as $$ select pg_advisory_xact_lock_shared((70::bigint << 48) | last_value) from platform.event_seq $$;

create or replace function platform.audit_fence() returns void language sql volatile
    as $$ select pg_advisory_xact_lock_shared((71::bigint << 48) | last_value) from platform.audit_seq $$;
