-- Facts that a carrier such as Kafka brings, from this database and from others.

-- Where a consumer hears of its topic: of what the log gained up to carried_after from
-- the publishers themselves, of the rest from the carrier. Null: always from the publishers.
alter table platform.subscription add column carried_after bigint;

-- A fact that another database recorded. It is here because a consumer hears of it, and
-- is never handed to the carrier again.
alter table platform.event add column carried boolean not null default false;

-- Who hands a topic to the carrier: one process at a time, as long as it renews its claim.
-- A second one would do no harm, it would only say everything twice.
create table platform.relay (
    topic  text        primary key,
    holder uuid        not null,
    until  timestamptz not null
);
grant select, insert, update, delete on platform.relay to fusion_app;

-- Since when the inbox remembers everything: what was recorded earlier may have been
-- handled without a trace. Goes with maintain_partitions().
create function platform.inbox_since() returns timestamptz language sql stable as $$
    select date_trunc('month', (now() - interval '2 months') at time zone 'UTC') at time zone 'UTC' + interval '1 month'
$$;

-- Which deployment this database is, the last row, and which it was. A database that is
-- restored from a backup becomes another one: the first may still live, and has said and
-- heard what the backup does not know of.
create table platform.deployment (
    n     bigint      generated always as identity primary key,
    id    uuid        not null,
    since timestamptz not null default now()
);
insert into platform.deployment (id) values (gen_random_uuid());
grant select on platform.deployment to fusion_app;
