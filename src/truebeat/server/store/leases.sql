-- name: upsert
-- One statement for all stamps since the last flush; an older beat never overwrites a newer one.
INSERT INTO leases (
    workspace_id, last_beat_at, runtime_state, error_rate, sample_error, active_tasks,
    current_task, uptime_seconds, phase, restarts, worker_pid
)
SELECT *
FROM unnest(
    $1::uuid[], $2::timestamptz[], $3::text[], $4::double precision[], $5::text[], $6::bigint[],
    $7::text[], $8::double precision[], $9::text[], $10::bigint[], $11::bigint[]
) AS beat (workspace_id)
ORDER BY workspace_id
ON CONFLICT (workspace_id) DO UPDATE SET
    last_beat_at = excluded.last_beat_at,
    runtime_state = excluded.runtime_state,
    error_rate = excluded.error_rate,
    sample_error = excluded.sample_error,
    active_tasks = excluded.active_tasks,
    current_task = excluded.current_task,
    uptime_seconds = excluded.uptime_seconds,
    phase = excluded.phase,
    restarts = excluded.restarts,
    worker_pid = excluded.worker_pid
WHERE leases.last_beat_at <= excluded.last_beat_at

-- name: load
SELECT
    workspace_id, last_beat_at, runtime_state, error_rate, sample_error, active_tasks,
    current_task, uptime_seconds, phase, restarts, worker_pid
FROM leases
