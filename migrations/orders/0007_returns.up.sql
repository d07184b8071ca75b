-- What comes back of orders, and what of the money goes back for it.

-- What a shop takes back. There is a row when somebody has said something.
create table orders.return_policy (
    tenant_id   uuid        not null default platform.current_tenant(),
    window_days bigint      not null check (window_days between 0 and 3650), -- 0: buyers send nothing back by themselves
    fee_points  bigint      not null check (fee_points between 0 and 10000), -- hundredths of a percent
    final_sale  text[]      not null, -- SKUs that buyers keep
    version     bigint      not null,
    updated_at  timestamptz not null,
    primary key (tenant_id)
);

create table orders.return (
    tenant_id      uuid        not null default platform.current_tenant(),
    id             uuid        not null,
    order_id       uuid        not null,
    status         text        not null check (status in ('requested', 'approved', 'rejected', 'received', 'closed', 'cancelled')),
    fee_points     bigint      not null check (fee_points between 0 and 10000), -- as it was when it was asked for
    answer         text, -- why it was rejected
    shipment_id    uuid, -- that brings it, the last that was made
    refund_minor   bigint      not null default 0 check (refund_minor >= 0), -- all that goes back: less the fee, with shipping
    fee_minor      bigint      not null default 0 check (fee_minor >= 0),
    shipping_minor bigint      not null default 0 check (shipping_minor >= 0),
    version        bigint      not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    primary key (tenant_id, id),
    foreign key (tenant_id, order_id) references orders.orders
) with (fillfactor = 80);
create index return_by_order on orders.return (tenant_id, order_id, created_at, id);
create index return_by_creation on orders.return (tenant_id, created_at, id);
create index return_by_status on orders.return (tenant_id, status, created_at, id);

create table orders.return_line (
    tenant_id    uuid     not null default platform.current_tenant(),
    return_id    uuid     not null,
    position     smallint not null, -- of the line in the order
    quantity     bigint   not null check (quantity > 0),
    reason       text     not null check (reason in ('unwanted', 'too_small', 'too_large', 'defective', 'damaged', 'wrong_item', 'not_as_described', 'late', 'other')),
    note         text, -- of who asked
    received     bigint   not null default 0,
    restocked    bigint   not null default 0,
    refund_minor bigint   not null default 0 check (refund_minor >= 0), -- less the fee
    fee_minor    bigint   not null default 0 check (fee_minor >= 0),
    primary key (tenant_id, return_id, position),
    foreign key (tenant_id, return_id) references orders.return,
    constraint return_line_received_check check (received >= 0 and received <= quantity and restocked >= 0 and restocked <= received)
);

do $$
declare t text;
begin
    foreach t in array array['return_policy', 'return', 'return_line'] loop
        execute format('alter table orders.%I enable row level security', t);
        execute format('alter table orders.%I force row level security', t);
        execute format('create policy tenant on orders.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant select, insert, update on orders.return_policy, orders.return, orders.return_line to fusion_app;

-- Units that came back as returns; those that no parcel could be handed over with are 'returned'.
alter table orders.line
    add column taken_back bigint not null default 0,
    add constraint line_taken_back_check check (taken_back between 0 and quantity - cancelled);
grant update (taken_back) on orders.line to fusion_app;

alter table orders.orders
    -- what of the total is not to be paid any more, because its units came back
    add column returned_minor bigint not null default 0 check (returned_minor >= 0),
    add column return_status  text   not null default 'none' check (return_status in ('none', 'requested', 'in_progress', 'partially_returned', 'returned')),
    -- the last line of defence: no more goes back than was to be paid
    add constraint orders_due_check check (cancelled_minor + returned_minor <= total_minor);

alter table orders.timeline
    add column return_id     uuid, -- of the steps that a return made
    add column return_status text;
