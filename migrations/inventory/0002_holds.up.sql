-- Stock that a shopper holds softly while checking out. A hold ends once: an order claims
-- it, somebody releases it, or its time runs out.
create table inventory.hold (
    tenant_id  uuid        not null default platform.current_tenant(),
    id         uuid        not null,
    status     text        not null check (status in ('held', 'claimed', 'released', 'expired')),
    order_id   uuid, -- that has claimed it
    expires_at timestamptz not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, order_id) references inventory.reservation
);
create index hold_due on inventory.hold (tenant_id, expires_at) where status = 'held';

create table inventory.hold_line (
    tenant_id uuid    not null default platform.current_tenant(),
    hold_id   uuid    not null,
    position  integer not null,
    location  text    not null,
    sku       text    not null,
    quantity  bigint  not null check (quantity > 0),
    primary key (tenant_id, hold_id, location, sku),
    foreign key (tenant_id, hold_id) references inventory.hold
);

-- What a hold moves names the hold: 'held' takes, the three ends give back.
alter table inventory.movement
    add column hold_id uuid,
    drop constraint movement_kind_check,
    add constraint movement_kind_check check (kind in ('initial', 'set', 'adjustment', 'reserved', 'released', 'held', 'claimed', 'expired'));

do $$
declare t text;
begin
    foreach t in array array['hold', 'hold_line'] loop
        execute format('alter table inventory.%I enable row level security', t);
        execute format('alter table inventory.%I force row level security', t);
        execute format('create policy tenant on inventory.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert on inventory.hold, inventory.hold_line to fusion_app;
grant update on inventory.hold to fusion_app;
