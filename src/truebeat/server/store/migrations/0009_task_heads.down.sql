SET LOCAL lock_timeout = '5s';

DROP INDEX tasks_paused;
DROP INDEX tasks_queue;
ALTER TABLE tasks DROP COLUMN head;
CREATE INDEX tasks_queue ON tasks (workspace_id, priority DESC, place) WHERE state = 'submitted' AND generation IS NULL;
