-- Lists of all tasks, and what is old enough to go, are looked for by state: the few that matter among many that are done.
SET LOCAL lock_timeout = '5s';

CREATE INDEX tasks_by_state ON tasks (state, updated_at DESC, id DESC);
DROP INDEX tasks_by_change;
