-- What is over is swept by its age, one merchant after the other.
create index login_guard_by_age on identity.login_guard (tenant_id, last_at);
create index session_by_end on identity.session (tenant_id, coalesce(ended_at, expires_at));
create index one_time_token_by_end on identity.one_time_token (tenant_id, expires_at);
create index device_by_age on identity.device (tenant_id, last_seen_at);

-- A token of a letter also adds to an account what was ordered with its address before. Last,
-- because nobody can use a token meanwhile.
alter table identity.one_time_token drop constraint one_time_token_purpose_check;
alter table identity.one_time_token add constraint one_time_token_purpose_check check (purpose in ('verify', 'change', 'reset', 'invite', 'claim'));
