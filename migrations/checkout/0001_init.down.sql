drop schema checkout cascade;
