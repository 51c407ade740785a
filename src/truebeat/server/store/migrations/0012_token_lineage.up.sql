-- Whose a task is follows from the token that sent it: from what a token keeps when it is rotated, and not from its name,
-- which others may have too. What can still be changed by its sender, and keys, go over where the name was one token's.
SET LOCAL lock_timeout = '5s';

ALTER TABLE tokens ADD COLUMN lineage uuid;
WITH RECURSIVE line AS (
    SELECT tokens.id, tokens.id AS lineage, tokens.replaced_by
    FROM tokens
    WHERE NOT EXISTS (SELECT FROM tokens AS earlier WHERE earlier.replaced_by = tokens.id)
    UNION ALL
    SELECT tokens.id, line.lineage, tokens.replaced_by
    FROM line
    JOIN tokens ON tokens.id = line.replaced_by
)
UPDATE tokens
SET lineage = line.lineage
FROM line
WHERE tokens.id = line.id;
ALTER TABLE tokens ALTER COLUMN lineage SET NOT NULL;

CREATE TEMPORARY TABLE known_senders ON COMMIT DROP AS
SELECT name, min(lineage::text) AS id
FROM tokens
WHERE workspace_id IS NULL
GROUP BY name
HAVING count(DISTINCT lineage) = 1;

UPDATE tasks
SET sender_id = known_senders.id
FROM known_senders
WHERE tasks.sender_kind IN ('person', 'client')
    AND tasks.sender_id = known_senders.name
    AND tasks.state IN ('submitted', 'working', 'input-required', 'auth-required')
    AND NOT EXISTS (SELECT FROM wakes WHERE wakes.task_id = tasks.id);

UPDATE idempotency_keys
SET sender = kinds.prefix || known_senders.id
FROM known_senders
CROSS JOIN (VALUES ('person:'), ('client:')) AS kinds (prefix)
WHERE idempotency_keys.sender = kinds.prefix || known_senders.name;
