drop index identity.device_by_age, identity.one_time_token_by_end, identity.session_by_end, identity.login_guard_by_age;

-- Not validated: tokens for claims may be there still. The program of before takes none of
-- them, and sweeps nothing: they stay until it removes all tokens of their account.
alter table identity.one_time_token drop constraint one_time_token_purpose_check;
alter table identity.one_time_token add constraint one_time_token_purpose_check check (purpose in ('verify', 'change', 'reset', 'invite')) not valid;
