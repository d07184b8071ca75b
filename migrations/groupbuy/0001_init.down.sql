drop schema groupbuy cascade;
