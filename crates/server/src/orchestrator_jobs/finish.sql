-- name: finish
-- Ends reported attempts. A report counts only while its lease token is the job's and its agent is approved.
-- Success of an inventory that stored nothing is no success, nor that of a reenrollment for which nothing was signed.
--
-- The jobs are found one by one by their key and stay locked, so that what follows touches just them. Joins with sets
-- that the planner believes to be small, as the leased jobs are when statistics are taken, were quadratic.
WITH live AS MATERIALIZED (
    SELECT job.*, job.attempt < job.max_attempts AND (r.transient OR hollow) AS again,
        CASE WHEN hollow THEN 4 ELSE r.result END::smallint AS result,
        CASE WHEN NOT hollow THEN r.message WHEN job.operation = 1 THEN 'the agent reported success, but uploaded no inventory'
            ELSE 'the agent reported success, but had no certificate signed' END AS message,
        CASE WHEN NOT hollow THEN r.code WHEN job.operation = 1 THEN 'inventory_missing' ELSE 'enrollment_missing' END AS code
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::boolean[], $6::text[], $7::text[])
        AS r(agent, job, token, result, transient, message, code)
    CROSS JOIN LATERAL (
        SELECT jobs.* FROM jobs WHERE jobs.id = r.job AND jobs.lease_token = r.token LIMIT 1 FOR UPDATE) AS job
    CROSS JOIN LATERAL (SELECT job.operation IN (1, 6) AND r.result <> 4 AND NOT job.inventoried AS hollow) AS h
    -- Outside, or an index on state and agent would be taken instead of the key.
    WHERE job.state = 2 AND job.agent_id = r.agent AND EXISTS (SELECT 1 FROM agents WHERE agents.id = r.agent AND agents.status = 2)
), ended AS (
    DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM live WHERE NOT again)) AND state = 2
), again AS (
    UPDATE jobs SET state = 5, lease_token = NULL, lease_until = NULL,
        retry_at = $9::timestamptz + make_interval(secs =>
            least(3600, $8::float8 * 2 ^ (attempt - 1)) * (0.5 + random() / 2))
    WHERE id = ANY (ARRAY(SELECT id FROM live WHERE again)) AND state = 2
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, details, had_secret, lease_token, message, error_code)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, CASE WHEN again THEN 5 ELSE 3 END,
    result, scheduled, recurrence, run_at, requested_at, requested_by, started_at, greatest(started_at, $9), certificate_id,
    agent_machine, client_machine, store_path, store_type, details, sealed_secret IS NOT NULL, lease_token, message, code
FROM live
RETURNING id AS "history_id!", job_id AS "job_id: JobId", agent_id AS "agent_id: AgentId", store_id AS "store_id: StoreId", lease_token,
    request_id, operation, status, run_at, agent_machine, client_machine, store_path, store_type
