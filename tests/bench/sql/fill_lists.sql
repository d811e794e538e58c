-- The product's side of the lists: as many rows as a large house has after years. Facts are copied from one real
-- certificate, so that answers are as long as real ones; keys and names differ.
INSERT INTO agents (id, client_machine, platform, version, speaks_extensions, status, capabilities, key_fingerprint,
    registered_at, status_changed_at, changed_at, last_seen_at)
SELECT gen_random_uuid(), 'host-' || n || '.example.test', 5, '1.0.0.0', true, 2,
    '{CertStores.PEM.Inventory,CertStores.PEM.Management}', sha256(('agent ' || n)::bytea), now(), now(), now(), now()
FROM generate_series(1, :agents) AS n;

INSERT INTO certificate_stores (id, agent_id, client_machine, store_path, store_type, approved, create_if_missing,
    properties, inventory_version, inventoried_at, created_at)
SELECT gen_random_uuid(), a.id, a.client_machine, '/srv/tls/' || n || '.pem', 2, true, false, '{}', 'filled', now(), now()
FROM (SELECT id, client_machine FROM agents ORDER BY id LIMIT :agents) AS a, generate_series(1, :stores_of_agent) AS n;

INSERT INTO certificates (sha256, thumbprint, serial_number, issued_dn, issued_cn, issuer_dn, not_before, not_after,
    key_type, key_bits, signing_algorithm, content, dns_names, imported_at, authority_id, template_id, requester)
SELECT sha256(('certificate ' || n)::bytea), upper(left(encode(sha256(('print ' || n)::bytea), 'hex'), 40)),
    upper(lpad(to_hex(n), 32, '0')), 'CN=site-' || n || '.example.test', 'site-' || n || '.example.test', issuer_dn,
    not_before, now() + interval '1 day' + n % 400 * interval '1 day', key_type, key_bits, signing_algorithm, content,
    ARRAY['site-' || n || '.example.test'], now(), authority_id, template_id, requester
FROM (SELECT * FROM certificates ORDER BY id LIMIT 1) AS one, generate_series(1, :certificates) AS n;

INSERT INTO job_history (id, job_id, request_id, agent_id, store_id, job_type, operation, attempt, status, result,
    scheduled, run_at, requested_at, requested_by, started_at, finished_at, certificate_id, agent_machine,
    client_machine, store_path, store_type, details, had_secret, message, error_code)
SELECT nextval('job_history_id'), gen_random_uuid(), gen_random_uuid(), '00000000-0000-7000-8000-000000000001',
    ('00000000-0000-7000-8000-' || lpad(to_hex(n % 100000), 12, '0'))::uuid, 2, 2, 1, 3,
    CASE WHEN n % 33 = 0 THEN 4 ELSE 2 END, false, at, at, 'automation', at, at + interval '2 seconds', 1,
    'host-' || n % 20000 || '.example.test', 'host-' || n % 20000 || '.example.test', '/srv/tls/1.pem', 'PEM', '{}', false,
    'installed and read back', CASE WHEN n % 33 = 0 THEN 'store_unreadable' END
FROM (SELECT n, now() - (:history - n) * interval '3 seconds' AS at FROM generate_series(1, :history) AS n) AS made;
