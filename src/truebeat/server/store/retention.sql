-- name: prune_tasks
-- One step through the tasks that ended before $1, oldest first, from behind ($2, $3): $4 at most, with $5 updates or
-- one task. What belongs to a chain of delegations whose result somebody is still to get stays. Tells how far it came.
WITH wanted AS (
    SELECT delegations.task_id, delegations.source_task_id, delegations.root_id, delegations.source_id
    FROM delegations
    WHERE delegations.ended_at IS NULL
    UNION ALL
    SELECT delegations.task_id, delegations.source_task_id, delegations.root_id, delegations.source_id
    FROM delegations
    WHERE delegations.ready_at IS NOT NULL AND delegations.consumed_at IS NULL
),
kept AS (
    SELECT unnest(ARRAY[wanted.task_id, wanted.source_task_id, wanted.root_id]) AS id
    FROM wanted
    JOIN workspaces ON workspaces.id = wanted.source_id
    WHERE workspaces.status <> 'removed'
),
looked AS (
    SELECT task.id, task.updated_at, task.updates
    FROM unnest(ARRAY['completed', 'failed', 'canceled', 'rejected']) AS final (state)
    CROSS JOIN LATERAL (
        SELECT tasks.id, tasks.updated_at, tasks.updates
        FROM tasks
        WHERE tasks.state = final.state AND tasks.updated_at < $1 AND (tasks.updated_at, tasks.id) > ($2, $3)
        ORDER BY tasks.updated_at, tasks.id
        LIMIT $4
    ) AS task
    ORDER BY task.updated_at, task.id
    LIMIT $4
),
weighed AS (
    SELECT
        looked.id, looked.updated_at,
        sum(looked.updates) OVER (ORDER BY looked.updated_at, looked.id) - looked.updates AS before
    FROM looked
),
old AS (
    SELECT weighed.id, weighed.updated_at
    FROM weighed
    WHERE weighed.before < $5
),
ended AS (
    SELECT old.id
    FROM old
    WHERE NOT EXISTS (SELECT FROM kept WHERE kept.id = old.id)
),
gone_updates AS (
    DELETE FROM task_updates USING ended WHERE task_updates.task_id = ended.id
),
gone_pushes AS (
    DELETE FROM push_configs USING ended WHERE push_configs.task_id = ended.id
),
gone_delegations AS (
    DELETE FROM delegations USING ended WHERE delegations.task_id = ended.id
),
gone_wakes AS (
    DELETE FROM wakes USING ended WHERE wakes.task_id = ended.id AND NOT wakes.latest
),
gone AS (
    DELETE FROM tasks USING ended WHERE tasks.id = ended.id RETURNING tasks.id
)
SELECT (SELECT count(*) FROM gone) AS gone, old.updated_at, old.id
FROM old
ORDER BY old.updated_at DESC, old.id DESC
LIMIT 1
