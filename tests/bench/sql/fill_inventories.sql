-- The product's side: one waiting inventory for each store. $1 job ids, $2 stores.
INSERT INTO jobs (id, request_id, agent_id, store_id, job_type, operation, state, max_attempts, run_at, scheduled,
    requested_at, requested_by, details, agent_machine, client_machine, store_path, store_type)
SELECT made.job, made.job, agent_id, id, 1, 1, 1, 5, now() - interval '1 minute', false, now(), 'benchmark', '{}',
    client_machine, client_machine, store_path, 'PEM'
FROM unnest($1::uuid[], $2::uuid[]) AS made(job, store)
JOIN certificate_stores ON certificate_stores.id = made.store
