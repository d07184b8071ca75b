drop table platform.signing_key;
