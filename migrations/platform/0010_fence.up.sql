-- The fences as expressions, which become part of the statements that take them. Functions
-- with a query in them are parsed and planned at each call. A sequence that nothing was drawn
-- from has no last value: too low a fence only has readers wait.
create or replace function platform.fence() returns void language sql volatile
    return pg_advisory_xact_lock_shared((70::bigint << 48) | coalesce(pg_sequence_last_value('platform.event_seq'::regclass), 0));

create or replace function platform.audit_fence() returns void language sql volatile
    return pg_advisory_xact_lock_shared((71::bigint << 48) | coalesce(pg_sequence_last_value('platform.audit_seq'::regclass), 0));
