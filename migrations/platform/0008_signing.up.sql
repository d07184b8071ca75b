-- Keys that sign access tokens. They are the installation's: a token says itself whose it
-- is, and the key set at /.well-known/jwks.json is one for all.
create table platform.signing_key (
    kid         text        primary key,
    algorithm   text        not null check (algorithm = any (array['RS256', 'EdDSA'])),
    public_key  bytea       not null, -- PKIX, for people who look; programs derive it from the private one
    private_key bytea       not null, -- PKCS 8, sealed
    created_at  timestamptz not null,
    active_from timestamptz not null, -- it is published before it signs
    retired_at  timestamptz           -- it stays published until what it signed is over
);
grant select, insert, update, delete on platform.signing_key to fusion_app;
