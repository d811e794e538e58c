-- Each client goes round agents of its own, so that no claim meets another's rows or comes in vain.
\set visit :visit + 1
\set agent :client_id * :agents_each + :visit % :agents_each
WITH claimed AS (
    UPDATE jobs SET state = 1, attempt = attempt + 1, lease_until = now() + interval '5 minutes'
    WHERE id = ANY (ARRAY(
        SELECT id FROM jobs
        WHERE agent_id = md5('agent' || (:agent)::text)::uuid AND state = 0 AND run_at <= now()
        ORDER BY run_at LIMIT 100 FOR UPDATE SKIP LOCKED))
    RETURNING id)
SELECT coalesce(array_agg(id), '{}')::text AS ids FROM claimed \gset
