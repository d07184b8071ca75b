drop function platform.purge_tenant(uuid, integer);
create or replace function platform.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is never changed' using errcode = 'insufficient_privilege';
end $$;
drop function platform.tenant_terms(uuid);
drop function platform.find_tenant(text);
drop table platform.tenant_host;
revoke insert, update on platform.tenant from fusion_app;
alter table platform.tenant
    drop column version, drop column updated_at, drop column purge_after, drop column quotas, drop column settings, drop column reason, drop column status;
