-- What is held can be sold again, and the ledger forgets that it was ever held. The owner
-- must see the rows of all merchants for that.
alter table inventory.stock no force row level security;
alter table inventory.movement no force row level security;
alter table inventory.hold no force row level security;
alter table inventory.hold_line no force row level security;

update inventory.stock s set reserved = s.reserved - h.quantity, version = s.version + 1
from (
    select l.tenant_id, l.location, l.sku, sum(l.quantity)::bigint quantity
    from inventory.hold h join inventory.hold_line l on l.tenant_id = h.tenant_id and l.hold_id = h.id
    where h.status = 'held' group by l.tenant_id, l.location, l.sku
) h
where s.tenant_id = h.tenant_id and s.location = h.location and s.sku = h.sku;
delete from inventory.movement where hold_id is not null;

alter table inventory.stock force row level security;
alter table inventory.movement force row level security;
alter table inventory.movement
    drop column hold_id,
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released'));
drop table inventory.hold_line, inventory.hold;
