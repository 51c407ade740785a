SET LOCAL lock_timeout = '5s';

CREATE INDEX tasks_by_change ON tasks (updated_at DESC, id DESC);
DROP INDEX tasks_by_state;
