-- What is only added to goes with the merchant, and in no other way: the audit log, and what
-- else a module says so of, in the trigger's argument.
create or replace function platform.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        perform from platform.tenant t where t.tenant_id = old.tenant_id and t.status = 'deleted' and t.purge_after <= clock_timestamp();
        if found then
            return old;
        end if;
    end if;
    raise exception '% is never changed', coalesce(tg_argv[0], 'the audit log') using errcode = 'insufficient_privilege';
end $$;
