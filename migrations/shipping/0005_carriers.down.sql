drop table shipping.notice;
drop table shipping.document;
drop table shipping.purchase;
drop table shipping.carrier_account;
