revoke delete on identity.account from fusion_app;
drop table identity.address;
drop table identity.customer_note;
drop table identity.customer_group;
drop table identity.customer;
