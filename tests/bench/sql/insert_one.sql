\set agent random(0, :agents - 1)
INSERT INTO jobs (id, request_id, agent_id, store_id, kind, payload)
VALUES (gen_random_uuid(), gen_random_uuid(), md5('agent' || (:agent)::text)::uuid, gen_random_uuid(), 1,
    '{"cert": "9b1c44de", "alias": "www", "overwrite": true}');
