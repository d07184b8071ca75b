-- Accounts keep the names of roles that there are no more: they give nothing.
drop table identity.role;
