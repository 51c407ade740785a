-- Of each conversation only the oldest unfinished task may be claimed. It is marked, so that a claim reads what it takes and
-- not all that waits behind others. Questions get an index of their own: they are few among many tasks that are done.
SET LOCAL lock_timeout = '5s';

ALTER TABLE tasks ADD COLUMN head boolean NOT NULL DEFAULT false;
UPDATE tasks
SET head = true
FROM (
    SELECT DISTINCT ON (workspace_id, context_id) id
    FROM tasks
    WHERE state IN ('submitted', 'working')
    ORDER BY workspace_id, context_id, place
) AS oldest
WHERE tasks.id = oldest.id;
ALTER TABLE tasks ALTER COLUMN head DROP DEFAULT;

DROP INDEX tasks_queue;
CREATE INDEX tasks_queue ON tasks (workspace_id, head, priority DESC, place)
WHERE state = 'submitted' AND generation IS NULL;
CREATE INDEX tasks_paused ON tasks (workspace_id) WHERE state IN ('input-required', 'auth-required');
