drop function platform.next_mail();
drop table platform.erasure;
drop table platform.mail;
drop table platform.vault_key;
