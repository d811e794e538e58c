-- name: drop_jobs_of
-- Takes all jobs of some agents out of the queue. Attempts that run leave a row in history; whether their stores were
-- changed is not known.
WITH gone AS (
    DELETE FROM jobs WHERE agent_id = ANY ($1) RETURNING *
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, details, had_secret, lease_token, message, error_code)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, 3, 4,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, greatest(started_at, $2), certificate_id,
    agent_machine, client_machine, store_path, store_type, details, sealed_secret IS NOT NULL, NULL,
    'the agent was reset or deleted while it ran this job; whether the store was changed is not known, an inventory will tell',
    'agent_reset'
FROM gone WHERE state = 2
