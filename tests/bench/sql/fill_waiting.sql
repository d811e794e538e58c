-- $1 jobs, spread evenly over $2 agents.
INSERT INTO jobs (id, request_id, agent_id, store_id, kind, run_at, payload)
SELECT gen_random_uuid(), md5('request' || n / 100)::uuid, md5('agent' || n % $2)::uuid, md5('store' || n)::uuid, 1,
    now() - interval '1 minute', jsonb_build_object('cert', md5((n / 100)::text), 'alias', 'www', 'overwrite', true)
FROM generate_series(0, $1 - 1) AS n
