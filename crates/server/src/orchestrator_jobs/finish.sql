-- name: finish
-- Ends reported attempts. A report counts only while its lease token is the job's and its agent is approved.
-- Success of an inventory that stored nothing is no success, nor that of a reenrollment for which nothing was signed; one
-- of a change that was not proved is a warning.
--
-- The jobs are found one by one by their key and stay locked, so that what follows touches just them. Joins with sets
-- that the planner believes to be small, as the leased jobs are when statistics are taken, were quadratic.
WITH live AS MATERIALIZED (
    SELECT job.*, job.attempt < job.max_attempts AND (r.retry > 0 OR hollow) AS again,
        r.retry = 2 AND NOT hollow AS at_once,
        CASE WHEN hollow THEN 4 WHEN unproved THEN 3 ELSE r.result END::smallint AS result,
        CASE WHEN hollow AND job.operation = 1 THEN 'the agent reported success, but uploaded no inventory'
            WHEN hollow THEN 'the agent reported success, but had no certificate signed'
            WHEN unproved THEN r.message || '; the agent did not prove that every target of the store shows it'
            ELSE r.message END AS message,
        CASE WHEN hollow AND job.operation = 1 THEN 'inventory_missing' WHEN hollow THEN 'enrollment_missing'
            WHEN unproved THEN coalesce(r.code, 'not_proved') ELSE r.code END AS code,
        r.installed, CASE WHEN unproved THEN 2 ELSE r.verified END::smallint AS verified
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::smallint[], $6::text[], $7::text[],
            $10::boolean[], $11::smallint[])
        AS r(agent, job, token, result, retry, message, code, installed, verified)
    CROSS JOIN LATERAL (
        SELECT jobs.* FROM jobs WHERE jobs.id = r.job AND jobs.lease_token = r.token LIMIT 1 FOR UPDATE) AS job
    CROSS JOIN LATERAL (SELECT job.operation IN (1, 6) AND r.result <> 4 AND NOT job.inventoried
            AND job.details ->> 'DryRun' IS NULL AS hollow,
        r.result = 2 AND job.operation IN (2, 6) AND job.verification IS NOT NULL
            AND job.details ->> 'DryRun' IS NULL AND r.verified IS DISTINCT FROM 1 AS unproved) AS h
    -- Outside, or an index on state and agent would be taken instead of the key.
    WHERE job.state = 2 AND job.agent_id = r.agent AND EXISTS (SELECT 1 FROM agents WHERE agents.id = r.agent AND agents.status = 2)
), ended AS (
    DELETE FROM jobs WHERE id = ANY (ARRAY(SELECT id FROM live WHERE NOT again)) AND state = 2
), at_once AS (
    UPDATE jobs SET state = 1, lease_token = NULL, lease_until = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM live WHERE again AND at_once)) AND state = 2
), later AS (
    -- Twice as long each time, up to an hour; less the nearer the end of a certificate: that of the job, and that of the
    -- entry which it replaces, the one of its alias or the only one. At least the first pause.
    UPDATE jobs SET state = 5, lease_token = NULL, lease_until = NULL,
        retry_at = $9::timestamptz + make_interval(secs => (0.5 + random() / 2) *
            least(3600, $8::float8 * 2 ^ (attempt - 1), greatest($8::float8, coalesce(extract(epoch FROM least(
                (SELECT c.not_after FROM certificates c WHERE c.id = jobs.certificate_id),
                (SELECT CASE WHEN count(*) = 1 THEN min(not_after) END FROM (
                    SELECT c.not_after FROM store_entries e
                    JOIN store_entry_certificates p ON p.entry_id = e.id AND p.chain_level = 0
                    JOIN certificates c ON c.id = p.certificate_id
                    WHERE e.store_id = jobs.store_id
                        AND (jobs.details ->> 'Alias' IS NULL OR lower(e.alias) = lower(jobs.details ->> 'Alias'))
                    LIMIT 2) AS replaced)
                ) - $9)::float8 / 24, 'Infinity'))))
    WHERE id = ANY (ARRAY(SELECT id FROM live WHERE again AND NOT at_once)) AND state = 2
)
INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, recurrence, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, details, had_secret, lease_token, message, error_code, installed, verified)
SELECT history_id, id, request_id, agent_id, store_id, job_type, operation, attempt, CASE WHEN again THEN 5 ELSE 3 END,
    result, scheduled, recurrence, run_at, requested_at, requested_by, started_at, greatest(started_at, $9), certificate_id,
    agent_machine, client_machine, store_path, store_type, details, sealed_secret IS NOT NULL, lease_token, message, code,
    installed, verified
FROM live
RETURNING id AS "history_id!", job_id AS "job_id: JobId", agent_id AS "agent_id: AgentId", store_id AS "store_id: StoreId", lease_token,
    request_id, operation, attempt, status, verified, run_at, agent_machine, client_machine, store_path, store_type,
    details ->> 'DryRun' IS NOT NULL AS "dry_run!"
