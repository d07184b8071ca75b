drop index shipping.purchase_quote;
alter table shipping.purchase drop column quote;
