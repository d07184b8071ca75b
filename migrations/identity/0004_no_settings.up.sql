-- What a shop asks of its staff is among the settings of the tenant.
drop table identity.settings;
