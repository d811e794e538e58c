-- name: expire
-- Ends attempts whose lease is over: the agent died, lost its connection, or forgot.
WITH live AS (
    SELECT id, lease_token AS token, attempt < max_attempts AS again FROM jobs
    WHERE state = 2 AND lease_until < $3
    LIMIT $2 FOR UPDATE SKIP LOCKED
), ended AS (
    DELETE FROM jobs USING live
    WHERE jobs.id = live.id AND jobs.state = 2 AND jobs.lease_token = live.token AND NOT live.again
    RETURNING jobs.*, live.token, 3::smallint AS status
), again AS (
    UPDATE jobs SET state = 5, lease_token = NULL, lease_until = NULL,
        retry_at = $3::timestamptz + make_interval(secs =>
            least(3600, $1::float8 * 2 ^ (jobs.attempt - 1)) * (0.5 + random() / 2))
    FROM live
    WHERE jobs.id = live.id AND jobs.state = 2 AND jobs.lease_token = live.token AND live.again
    RETURNING jobs.*, live.token, 5::smallint AS status
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, lease_token, message, error_code)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, status, 4,
    scheduled, run_at, requested_at, requested_by, started_at, greatest(started_at, $3), certificate_id,
    agent_machine, client_machine, store_path, store_type, NULL,
    'the agent took the job up and did not report within its lease; whether the store was changed is not known, an inventory will tell',
    'lease_expired'
FROM (SELECT * FROM ended UNION ALL SELECT * FROM again) AS both_ways
RETURNING job_id AS "job_id: JobId", agent_id AS "agent_id: AgentId", store_id AS "store_id: StoreId", lease_token,
    request_id, operation, status, run_at, agent_machine, client_machine, store_path, store_type
