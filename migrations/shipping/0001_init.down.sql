drop schema shipping cascade;
