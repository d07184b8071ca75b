-- Campaigns: enough people who want the same thing get it at a better price. What is
-- sold is a snapshot of the catalog: later changes of it do not change what was promised.
create schema if not exists groupbuy;

create table groupbuy.campaign (
    tenant_id            uuid        not null default platform.current_tenant(),
    id                   uuid        not null,
    product_id           uuid        not null,
    sku                  text        not null,
    name                 text        not null,
    currency             char(3)     not null,
    price_minor          bigint      not null,
    original_price_minor bigint      not null,
    min_participants     bigint      not null,
    max_participants     bigint      not null,
    actual_participants  bigint      not null default 0,
    status               text        not null check (status in ('scheduled', 'active', 'successful', 'expired', 'cancelled')),
    reason               text,
    start_time           timestamptz not null,
    end_time             timestamptz not null,
    share_code           text        not null,
    version              bigint      not null default 1,
    created_at           timestamptz not null,
    updated_at           timestamptz not null,
    primary key (tenant_id, id),
    constraint campaign_share_code_key unique (tenant_id, share_code),
    constraint campaign_price_check check (price_minor >= 0 and price_minor < original_price_minor),
    constraint campaign_window_check check (start_time < end_time),
    -- the last line of defence: nobody joins a campaign that is full
    constraint campaign_participants_check check (min_participants >= 1 and min_participants <= max_participants and actual_participants between 0 and max_participants)
) with (fillfactor = 50); -- every join writes the row anew
create index campaign_by_creation on groupbuy.campaign (tenant_id, created_at, id);
create index campaign_by_end on groupbuy.campaign (tenant_id, end_time, id);
create index campaign_by_status on groupbuy.campaign (tenant_id, status, created_at, id);
create index campaign_by_product on groupbuy.campaign (tenant_id, product_id, created_at, id);

create table groupbuy.participant (
    tenant_id    uuid        not null default platform.current_tenant(),
    campaign_id  uuid        not null,
    user_id      text        not null check (user_id <> ''),
    id           uuid        not null,
    position     bigint      not null check (position > 0), -- 1 joined first
    quantity     bigint      not null check (quantity > 0),
    joined_at    timestamptz not null,
    ordered_at   timestamptz, -- when the order of a successful campaign was asked for
    primary key (tenant_id, campaign_id, user_id),
    constraint participant_position_key unique (tenant_id, campaign_id, position),
    foreign key (tenant_id, campaign_id) references groupbuy.campaign
);
create index participant_without_order on groupbuy.participant (tenant_id, campaign_id, position) where ordered_at is null;

do $$
declare t text;
begin
    foreach t in array array['campaign', 'participant'] loop
        execute format('alter table groupbuy.%I enable row level security', t);
        execute format('alter table groupbuy.%I force row level security', t);
        execute format('create policy tenant on groupbuy.%I using (tenant_id = (select platform.current_tenant())) with check (tenant_id = (select platform.current_tenant()))', t);
    end loop;
end $$;
grant usage on schema groupbuy to fusion_app;
grant select, insert, update on all tables in schema groupbuy to fusion_app;
