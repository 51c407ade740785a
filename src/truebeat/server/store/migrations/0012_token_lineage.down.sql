SET LOCAL lock_timeout = '5s';

CREATE TEMPORARY TABLE known_senders ON COMMIT DROP AS
SELECT lineage::text AS id, min(name) AS name
FROM tokens
WHERE workspace_id IS NULL
GROUP BY lineage;

UPDATE tasks
SET sender_id = known_senders.name
FROM known_senders
WHERE tasks.sender_kind IN ('person', 'client') AND tasks.sender_id = known_senders.id;

-- Of keys that were those of tokens of the same name one can stay.
CREATE TEMPORARY TABLE renamed ON COMMIT DROP AS
SELECT
    kept.sender, kept.workspace_id, kept.key, kinds.prefix || known_senders.name AS name,
    row_number() OVER (
        PARTITION BY kinds.prefix || known_senders.name, kept.workspace_id, kept.key
        ORDER BY kept.at DESC
    ) AS nth
FROM idempotency_keys AS kept
CROSS JOIN (VALUES ('person:'), ('client:')) AS kinds (prefix)
JOIN known_senders ON kept.sender = kinds.prefix || known_senders.id;
DELETE FROM idempotency_keys
USING renamed
WHERE renamed.nth > 1
    AND (idempotency_keys.sender, idempotency_keys.workspace_id, idempotency_keys.key)
        = (renamed.sender, renamed.workspace_id, renamed.key);
UPDATE idempotency_keys
SET sender = renamed.name
FROM renamed
WHERE renamed.nth = 1
    AND (idempotency_keys.sender, idempotency_keys.workspace_id, idempotency_keys.key)
        = (renamed.sender, renamed.workspace_id, renamed.key)
    AND NOT EXISTS (
        SELECT
        FROM idempotency_keys AS other
        WHERE (other.sender, other.workspace_id, other.key) = (renamed.name, renamed.workspace_id, renamed.key)
    );

ALTER TABLE tokens DROP COLUMN lineage;
