-- name: finish
-- Ends reported attempts. A report counts only while its lease token is the job's and its agent is approved.
-- Success of an inventory that stored nothing is no success.
WITH reported AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::boolean[], $6::text[], $7::text[])
        AS r(agent, job, token, result, transient, message, code)
), live AS (
    SELECT jobs.id, r.token, jobs.attempt < jobs.max_attempts AND (r.transient OR hollow) AS again,
        CASE WHEN hollow THEN 4 ELSE r.result END::smallint AS result,
        CASE WHEN hollow THEN 'the agent reported success, but uploaded no inventory' ELSE r.message END AS message,
        CASE WHEN hollow THEN 'inventory_missing' ELSE r.code END AS code
    FROM reported AS r
    JOIN jobs ON jobs.id = r.job AND jobs.state = 2 AND jobs.lease_token = r.token AND jobs.agent_id = r.agent
    CROSS JOIN LATERAL (SELECT jobs.operation = 1 AND r.result <> 4 AND NOT jobs.inventoried AS hollow) AS h
    WHERE EXISTS (SELECT 1 FROM agents WHERE agents.id = r.agent AND agents.status = 2)
), ended AS (
    DELETE FROM jobs USING live
    WHERE jobs.id = live.id AND jobs.state = 2 AND jobs.lease_token = live.token AND NOT live.again
    RETURNING jobs.*, live.token, live.result, live.message, live.code, 3::smallint AS status
), again AS (
    UPDATE jobs SET state = 5, lease_token = NULL, lease_until = NULL,
        retry_at = $9::timestamptz + make_interval(secs =>
            least(3600, $8::float8 * 2 ^ (jobs.attempt - 1)) * (0.5 + random() / 2))
    FROM live
    WHERE jobs.id = live.id AND jobs.state = 2 AND jobs.lease_token = live.token AND live.again
    RETURNING jobs.*, live.token, live.result, live.message, live.code, 5::smallint AS status
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, lease_token, message, error_code)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, run_at, requested_at, requested_by, started_at, greatest(started_at, $9), certificate_id,
    agent_machine, client_machine, store_path, store_type, token, message, code
FROM (SELECT * FROM ended UNION ALL SELECT * FROM again) AS both_ways
RETURNING job_id AS "job_id: JobId", agent_id AS "agent_id: AgentId", store_id AS "store_id: StoreId", lease_token,
    request_id, operation, status, run_at, agent_machine, client_machine, store_path, store_type
