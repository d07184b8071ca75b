drop index orders.orders_by_email;
revoke update (reason) on orders.timeline from fusion_app;
