drop schema payments cascade;
