-- Of the wakes of a workspace one stays the latest: one that is under way, if there is one.
SET LOCAL lock_timeout = '5s';

UPDATE wakes
SET latest = false
WHERE latest AND task_id NOT IN (
    SELECT DISTINCT ON (wakes.workspace_id) wakes.task_id
    FROM wakes
    LEFT JOIN tasks ON tasks.id = wakes.task_id
    WHERE wakes.latest
    ORDER BY wakes.workspace_id, coalesce(tasks.state IN ('submitted', 'working'), false) DESC, tasks.created_at DESC
);
DROP INDEX wakes_latest;
ALTER TABLE wakes DROP COLUMN context_id;
CREATE UNIQUE INDEX wakes_latest ON wakes (workspace_id) WHERE latest;
ALTER TABLE delegations DROP COLUMN source_context;
