-- The first two commits of ten jobs: one insert, one claim. Each client has agents of its own.
\set agent :client_id * 1000 + random(0, 999)
INSERT INTO jobs (id, request_id, agent_id, store_id, kind, payload)
SELECT gen_random_uuid(), '7d1e0a52-3b7c-4c55-9b43-5a0f6a1c2e01', md5('agent' || (:agent)::text)::uuid,
    gen_random_uuid(), 1, '{"cert": "9b1c44de", "alias": "www", "overwrite": true}'::jsonb
FROM generate_series(1, 10)
RETURNING id;
WITH claimed AS (
    UPDATE jobs SET state = 1, attempt = attempt + 1, lease_until = now() + interval '5 minutes'
    WHERE id = ANY (ARRAY(
        SELECT id FROM jobs
        WHERE agent_id = md5('agent' || (:agent)::text)::uuid AND state = 0 AND run_at <= now()
        ORDER BY run_at LIMIT 10 FOR UPDATE SKIP LOCKED))
    RETURNING id)
SELECT coalesce(array_agg(id), '{}')::text AS ids FROM claimed \gset
