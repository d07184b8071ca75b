drop index identity.device_by_age, identity.one_time_token_by_end, identity.session_by_end, identity.login_guard_by_age;

-- The program of before takes no tokens for claims.
alter table identity.one_time_token no force row level security;
delete from identity.one_time_token where purpose = 'claim';
alter table identity.one_time_token force row level security;
alter table identity.one_time_token drop constraint one_time_token_purpose_check;
alter table identity.one_time_token add constraint one_time_token_purpose_check check (purpose in ('verify', 'change', 'reset', 'invite'));
