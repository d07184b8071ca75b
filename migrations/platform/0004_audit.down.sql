create or replace function platform.maintain_partitions() returns void language plpgsql security definer
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
drop function platform.retire_audit(interval);
drop function platform.audit_settled(bigint);
drop function platform.audit_fence();
drop table platform.audit_retired;
drop table platform.audit_sealed;
drop table platform.audit_seal;
drop table platform.audit;
drop sequence platform.audit_seq;
drop function platform.refuse_change();
