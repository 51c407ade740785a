SET LOCAL lock_timeout = '5s';

DROP TABLE idempotency_keys;
DROP TABLE task_updates;
DROP TABLE tasks;
DROP SEQUENCE tasks_place;
