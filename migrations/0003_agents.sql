-- Agents and how they became trusted. Slice: agents.

-- owner: agents
CREATE TABLE agents (
    id                   uuid        PRIMARY KEY, -- for life
    client_machine       text        NOT NULL CHECK (length(client_machine) BETWEEN 1 AND 256), -- the name it gave itself
    username             text        NOT NULL DEFAULT '', -- account it registered with; empty for certificate only
    platform             smallint    NOT NULL, -- 5 native, 7 Universal Orchestrator, ... as in the agent protocol, 4.1
    version              text        NOT NULL, -- four parts
    speaks_extensions    boolean     NOT NULL, -- our own agent: leases jobs instead of listing them
    status               smallint    NOT NULL CHECK (status IN (1, 2, 3)), -- 1 new, 2 approved, 3 disapproved
    capabilities         text[]      NOT NULL CHECK (cardinality(capabilities) <= 200), -- full names, such as CertStores.PEM.Management
    key_fingerprint      bytea       CHECK (length(key_fingerprint) = 32), -- SHA-256 of the public key it asks or asked with; null for one that only ever logged in
    certificate          bytea, -- DER of the identity issued last
    thumbprint           text        CHECK (thumbprint ~ '^[0-9A-F]{40}$'), -- of that identity
    legacy_thumbprint    text        CHECK (legacy_thumbprint ~ '^[0-9A-F]{40}$'), -- of the identity before, valid until the new one is seen
    last_thumbprint_used text        CHECK (last_thumbprint_used ~ '^[0-9A-F]{40}$'), -- what it last connected with
    identity_expires_at  timestamptz, -- end of life of the newest identity
    reenrollment         smallint    NOT NULL DEFAULT 0 CHECK (reenrollment IN (0, 1, 2)), -- a new identity is: 0 not asked for, 1 requested, 2 required before it gets another job
    blueprint            text, -- name of the blueprint that was applied last
    previous_agent_id    uuid        REFERENCES agents ON DELETE SET NULL, -- the agent of the same machine that it probably is, which asked for its first identity again; an operator may merge them
    registered_from      text, -- address of the first contact, of an agent of the published protocol that had neither certificate nor login
    registered_at        timestamptz NOT NULL, -- first contact
    status_changed_at    timestamptz NOT NULL, -- when status was last set
    changed_at           timestamptz NOT NULL, -- when status, identities, name or extensions were last changed: what replicas look for
    last_seen_at         timestamptz, -- last contact, written in batches, so up to a minute old
    clock_offset_seconds integer, -- how far its clock is ahead of the server's, as it measured; nothing depends on it
    instance             uuid, -- the process that may take jobs, as it named itself; null before the first, and after an operator cleared it
    superseded           uuid[]      NOT NULL DEFAULT '{}' CHECK (cardinality(superseded) <= 8), -- processes that had its place before, the newest first
    refused_instance     uuid, -- the process that was found to be a copy of it
    host                 text        CHECK (host ~ '^[0-9a-f]{64}$'), -- hash of what names the machine of that process
    host_name            text        CHECK (length(host_name) <= 256), -- that machine's own name
    host_address         text        CHECK (length(host_address) <= 64), -- the address it began at
    working_at           timestamptz, -- when that process was last heard, written in batches
    clone_seen_at        timestamptz, -- when another process with this identity was refused; written again after an hour
    clone_host           text        CHECK (clone_host ~ '^[0-9a-f]{64}$'), -- its machine, as in host
    clone_host_name      text        CHECK (length(clone_host_name) <= 256), -- that machine's own name
    clone_address        text        CHECK (length(clone_address) <= 64), -- the address it called from
    drained_at           timestamptz, -- since when it takes no new jobs
    drained_by           text, -- name of the operator who said so; null when none did
    drained_on_machine   boolean     NOT NULL DEFAULT false, -- whether it says so itself, by its machine's administrator
    CHECK ((drained_at IS NULL) = (drained_by IS NULL AND NOT drained_on_machine)),
    CHECK ((clone_seen_at IS NULL) = (clone_address IS NULL) AND (clone_seen_at IS NULL) = (clone_host_name IS NULL)),
    CHECK ((certificate IS NULL) = (thumbprint IS NULL) AND (certificate IS NULL) = (identity_expires_at IS NULL)),
    CHECK (legacy_thumbprint IS NULL OR (thumbprint IS NOT NULL AND thumbprint <> legacy_thumbprint)),
    CHECK (key_fingerprint IS NOT NULL OR username <> '')
) WITH (fillfactor = 80);
COMMENT ON TABLE agents IS 'Agents: identity, capabilities, approval.';
CREATE UNIQUE INDEX agents_thumbprint ON agents (thumbprint);
CREATE UNIQUE INDEX agents_legacy_thumbprint ON agents (legacy_thumbprint) WHERE legacy_thumbprint IS NOT NULL;
CREATE UNIQUE INDEX agents_key ON agents (key_fingerprint);
CREATE INDEX agents_machine ON agents (lower(client_machine), id);
CREATE INDEX agents_new ON agents (registered_at) WHERE status = 1;
CREATE INDEX agents_changed ON agents (changed_at);
CREATE INDEX agents_previous ON agents (previous_agent_id) WHERE previous_agent_id IS NOT NULL;

-- owner: agents
CREATE TABLE enrollment_tokens (
    token_hash     bytea       PRIMARY KEY CHECK (length(token_hash) = 32), -- SHA-256 of the token
    client_machine text, -- the only machine that may use it; null for any
    agent_id       uuid        REFERENCES agents ON DELETE CASCADE, -- the known agent to which it gives a new identity; null for one that approves a first contact
    created_by     text        NOT NULL, -- name of the caller that made it
    created_at     timestamptz NOT NULL, -- when it was made
    expires_at     timestamptz NOT NULL CHECK (expires_at > created_at), -- when it stops working
    used_at        timestamptz, -- when an agent used it
    used_by        uuid        REFERENCES agents ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED, -- that agent; deferred, for the token is spent before its agent has a row
    CHECK (used_by IS NULL OR used_at IS NOT NULL),
    CHECK (agent_id IS NULL OR client_machine IS NULL)
);
COMMENT ON TABLE enrollment_tokens IS 'One-time tokens that approve the agent that presents them, or give a known one a new identity.';
CREATE INDEX enrollment_tokens_expiry ON enrollment_tokens (expires_at);

-- owner: agents
CREATE TABLE agent_sessions (
    token_hash bytea       PRIMARY KEY CHECK (length(token_hash) = 32), -- SHA-256 of the session token
    agent_id   uuid        NOT NULL REFERENCES agents ON DELETE CASCADE, -- whose session
    thumbprint text        CHECK (thumbprint ~ '^[0-9A-F]{40}$'), -- the identity it is bound to, if it is to one
    username   text        CHECK (username <> ''), -- the login it is bound to otherwise
    created_at timestamptz NOT NULL, -- when it was given
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at), -- when it is forgotten
    listed     smallint    NOT NULL DEFAULT 0 CHECK (listed >= 0), -- jobs that its list named
    CHECK ((thumbprint IS NULL) <> (username IS NULL))
);
COMMENT ON TABLE agent_sessions IS 'Sessions of the published protocol; ours leases without one.';
CREATE INDEX agent_sessions_agent ON agent_sessions (agent_id, created_at);
CREATE INDEX agent_sessions_expiry ON agent_sessions (expires_at);
