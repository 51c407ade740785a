SET LOCAL lock_timeout = '5s';

DROP INDEX wakes_by_origin;
