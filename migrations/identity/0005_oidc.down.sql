drop table identity.oidc_link;
drop table identity.oidc_provider;
