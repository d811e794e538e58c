-- The stores come as one array, as a server would send them.
\set agent random(0, :agents - 1)
INSERT INTO jobs (id, request_id, agent_id, store_id, kind, payload)
SELECT gen_random_uuid(), '7d1e0a52-3b7c-4c55-9b43-5a0f6a1c2e01',
    md5('agent' || (((:agent)::int + place) % (:agents)::int))::uuid, store, 1,
    '{"cert": "9b1c44de", "alias": "www", "overwrite": true}'::jsonb
FROM unnest('@STORES@'::uuid[]) WITH ORDINALITY AS target(store, place)
RETURNING id;
