-- The product's side: thousands of stores at once, which one call each would take minutes to make. They have been
-- inventoried, so that an unchanged inventory is the ordinary case. 2 is the store type PEM.
INSERT INTO certificate_stores (id, agent_id, client_machine, store_path, store_type, approved, create_if_missing,
    properties, inventory_version, inventoried_at, created_at)
SELECT store, agent, machine, '/srv/certificates/' || store || '.pem', 2, true, false, '{}', $4, now(), now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS made(store, agent, machine)
