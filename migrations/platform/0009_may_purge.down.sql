drop function platform.may_purge(uuid);
