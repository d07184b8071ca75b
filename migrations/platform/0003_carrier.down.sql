drop table platform.deployment;
drop function platform.inbox_since();
drop table platform.relay;
alter table platform.event drop column carried;
alter table platform.subscription drop column carried_after;
