-- name: expire
-- Ends attempts whose lease is over: the agent died, lost its connection, or forgot. Their jobs wait again at once: that is
-- no fault of the work, which a pause would give time to pass. The jobs stay locked, so that what follows touches just
-- them.
WITH live AS MATERIALIZED (
    SELECT jobs.*, attempt < max_attempts AS again FROM jobs
    WHERE state = 2 AND lease_until < $2
    LIMIT $1 FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM live WHERE NOT again)) AND state = 2
), again AS (
    UPDATE jobs SET state = 1, lease_token = NULL, lease_until = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM live WHERE again)) AND state = 2
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, details, had_secret, lease_token, message, error_code)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, CASE WHEN again THEN 5 ELSE 3 END, 4,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, greatest(started_at, $2), certificate_id,
    agent_machine, client_machine, store_path, store_type, details, sealed_secret IS NOT NULL, NULL,
    'the agent took the job up and did not report within its lease; whether the store was changed is not known, an inventory will tell',
    'lease_expired'
FROM live
RETURNING id AS "history_id!", job_id AS "job_id: JobId", agent_id AS "agent_id: AgentId", store_id AS "store_id: StoreId", lease_token,
    request_id, operation, attempt, status, verified, run_at, agent_machine, client_machine, store_path, store_type,
    details ->> 'DryRun' IS NOT NULL AS "dry_run!"
