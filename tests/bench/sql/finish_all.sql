WITH ended AS (
    DELETE FROM jobs WHERE id = ANY ((:ids)::uuid[]) AND state = 1
    RETURNING id, agent_id, store_id, kind, attempt)
INSERT INTO job_history (job_id, agent_id, store_id, kind, result, attempt, message)
SELECT id, agent_id, store_id, kind, 0, attempt, 'certificate added to store' FROM ended;
