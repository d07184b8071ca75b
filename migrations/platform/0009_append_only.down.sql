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
