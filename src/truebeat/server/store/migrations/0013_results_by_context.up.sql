-- Each result belongs to the conversation that it was asked for, and is brought by a wake of that conversation. A chain
-- that went on after a wake has the root of what woke.
SET LOCAL lock_timeout = '5s';

ALTER TABLE delegations ADD COLUMN source_context text;
UPDATE delegations
SET source_context = coalesce(
    (SELECT tasks.context_id FROM tasks WHERE tasks.id = delegations.source_task_id), 'results-' || source_id
);
ALTER TABLE delegations ALTER COLUMN source_context SET NOT NULL;

UPDATE delegations
SET root_id = wakes.origin_task_id
FROM wakes
WHERE wakes.task_id = delegations.root_id AND wakes.origin_task_id IS NOT NULL;

ALTER TABLE wakes ADD COLUMN context_id text;
UPDATE wakes
SET context_id = coalesce(
    (SELECT tasks.context_id FROM tasks WHERE tasks.id = wakes.task_id), 'results-' || workspace_id
);
ALTER TABLE wakes ALTER COLUMN context_id SET NOT NULL;
DROP INDEX wakes_latest;
CREATE UNIQUE INDEX wakes_latest ON wakes (workspace_id, context_id) WHERE latest;
