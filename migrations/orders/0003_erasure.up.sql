-- An erasure takes the words of people out of the timeline, and nothing else.
grant update (reason) on orders.timeline to fusion_app;
create index orders_by_email on orders.orders (tenant_id, lower(email), created_at, id) where email is not null; -- claimed
