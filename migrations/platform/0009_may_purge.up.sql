-- Whether a merchant's time is over, so that even what is never changed goes with them. For
-- the triggers of modules that keep such rows.
create function platform.may_purge(tenant uuid) returns boolean language sql stable as $$
    select exists (select from platform.tenant t where t.tenant_id = tenant and t.status = 'deleted' and t.purge_after <= clock_timestamp())
$$;
