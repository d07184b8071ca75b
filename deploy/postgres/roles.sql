-- What an administrator does once: a role that owns and migrates the database, and one that
-- works in it and owns nothing, so that row-level security binds it. The password comes
-- from the environment of the container.
\getenv password FUSION_DB_PASSWORD

create role fusion_owner login createrole password :'password';

-- By the owner, who may then set the role's limits when it migrates.
set role fusion_owner;
create role fusion_app login nosuperuser nobypassrls nocreatedb nocreaterole noinherit password :'password';
reset role;

create database fusion owner fusion_owner;
