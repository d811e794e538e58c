-- Who may call, and what was done. Slice: security.

-- owner: security
CREATE TABLE permission_sets (
    id          uuid        PRIMARY KEY, -- shown to clients
    name        text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100), -- unique whatever its case
    built_in    boolean     NOT NULL DEFAULT false, -- neither changed nor deleted
    permissions text[]      NOT NULL CHECK (cardinality(permissions) <= 1000), -- canonical permission paths: what roles of the set may grant at most
    created_at  timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE permission_sets IS 'What the roles of a set may grant at most.';
CREATE UNIQUE INDEX permission_sets_name ON permission_sets (lower(name));

INSERT INTO permission_sets (id, name, built_in, permissions, created_at)
VALUES ('5ea11f70-0000-4000-8000-000000000001', 'Global', true, '{/}', '2026-01-01T00:00:00Z');

-- owner: security
CREATE TABLE roles (
    id                bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    name              text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100), -- unique whatever its case
    description       text        NOT NULL DEFAULT '', -- what the role is for
    email_address     text        CHECK (length(email_address) <= 320), -- whom to ask about it
    immutable         boolean     NOT NULL DEFAULT false, -- built in: neither changed nor deleted, though given to callers
    enabled           boolean     NOT NULL DEFAULT true, -- false grants nothing
    private           boolean     NOT NULL DEFAULT false, -- a mark of the contract's first version, which changes nothing
    permission_set_id uuid        NOT NULL DEFAULT '5ea11f70-0000-4000-8000-000000000001' REFERENCES permission_sets, -- what it may grant at most
    permissions       text[]      NOT NULL CHECK (cardinality(permissions) <= 1000), -- canonical permission paths, each ending in a slash
    created_at        timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE roles IS 'Named sets of permissions. A grant covers everything below it in the tree of paths.';
CREATE UNIQUE INDEX roles_name ON roles (lower(name));
CREATE INDEX roles_permission_set ON roles (permission_set_id);

-- owner: security
CREATE TABLE identity_providers (
    id           uuid     PRIMARY KEY, -- shown to clients
    scheme       text     NOT NULL CHECK (length(scheme) BETWEEN 1 AND 100), -- its name in requests; unique whatever its case
    display_name text     NOT NULL CHECK (length(display_name) BETWEEN 1 AND 256), -- its name for people
    kind         smallint NOT NULL CHECK (kind IN (0, 1)), -- 0 this server's own users, 1 OpenID Connect as configured
    issuer       text     UNIQUE, -- of OpenID Connect: its issuer, so that claims of one are never taken for those of another
    CHECK ((kind = 1) = (issuer IS NOT NULL))
);
COMMENT ON TABLE identity_providers IS 'Who vouches for callers: this server, and the configured OpenID Connect provider.';
CREATE UNIQUE INDEX identity_providers_scheme ON identity_providers (lower(scheme));

INSERT INTO identity_providers (id, scheme, display_name, kind)
VALUES ('5ea11f70-0000-4000-8000-000000000002', 'Local', 'Users of this server', 0);

-- owner: security
CREATE TABLE claims (
    id          bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients; of a user also as identity
    provider_id uuid        NOT NULL REFERENCES identity_providers, -- who says it
    claim_type  smallint    NOT NULL CHECK (claim_type BETWEEN 0 AND 6), -- 0 user, 1 group, 2 computer, 3 OAuthOid, 4 OAuthRole, 5 OAuthSubject, 6 OAuthClientId
    claim_value text        NOT NULL CHECK (length(claim_value) BETWEEN 1 AND 256), -- what it says, compared to the letter
    description text        NOT NULL DEFAULT '', -- for people
    created_at  timestamptz NOT NULL, -- when it was made
    UNIQUE (provider_id, claim_type, claim_value)
);
COMMENT ON TABLE claims IS 'Statements about callers to which roles are given. Names of this server''s own users mean the same in any case.';
CREATE UNIQUE INDEX claims_local ON claims (lower(claim_value)) WHERE provider_id = '5ea11f70-0000-4000-8000-000000000002';

-- owner: security
CREATE TABLE role_claims (
    role_id  bigint NOT NULL REFERENCES roles ON DELETE CASCADE, -- the role
    claim_id bigint NOT NULL REFERENCES claims ON DELETE CASCADE, -- who has it
    PRIMARY KEY (role_id, claim_id)
);
COMMENT ON TABLE role_claims IS 'Which claims lead to which roles.';
CREATE INDEX role_claims_claim ON role_claims (claim_id);

-- owner: security
CREATE TABLE users (
    id            bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    claim_id      bigint      NOT NULL UNIQUE REFERENCES claims, -- the claim that this user makes, to which its roles are given
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- DOMAIN\user or user; unique whatever its case
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$%'), -- PHC string, never the password
    enabled       boolean     NOT NULL DEFAULT true, -- false refuses every log-in
    created_at    timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE users IS 'Callers that log in by HTTP Basic.';
CREATE UNIQUE INDEX users_name ON users (lower(name));

-- owner: security
CREATE TABLE api_tokens (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients; not the token
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- what it is for; the caller's name in history
    token_hash bytea       NOT NULL CHECK (length(token_hash) = 32), -- SHA-256 of the token; the token has 256 random bits, so no slow hash
    created_by text        NOT NULL, -- name of the caller that made it
    created_at timestamptz NOT NULL, -- when it was made
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at), -- when it stops working
    revoked_at timestamptz -- when it was revoked, if it was
);
COMMENT ON TABLE api_tokens IS 'Bearer tokens of automation.';
CREATE UNIQUE INDEX api_tokens_hash ON api_tokens (token_hash);

-- owner: security
CREATE TABLE api_token_roles (
    token_id bigint NOT NULL REFERENCES api_tokens ON DELETE CASCADE, -- the token
    role_id  bigint NOT NULL REFERENCES roles ON DELETE RESTRICT, -- a role its holder has
    PRIMARY KEY (token_id, role_id)
);
COMMENT ON TABLE api_token_roles IS 'Which roles the holder of a token has.';

-- owner: security
CREATE TABLE audit_log (
    id          bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- grows with time
    at          timestamptz NOT NULL, -- when it was done
    actor       text        NOT NULL, -- name of the caller
    operation   smallint    NOT NULL, -- 1 created, 4 approved, 15 scheduled add, ... as in the operator contract, 9.6
    level       smallint    NOT NULL DEFAULT 0 CHECK (level IN (0, 1, 2)), -- 0 information, 1 warning, 2 failure
    entity_type text        NOT NULL, -- kind of the thing, for example CertificateStore
    entity_id   text        NOT NULL, -- its id; empty for a call about many
    message     text        NOT NULL CHECK (length(message) <= 4000), -- what was done; no secret
    signature   bytea       NOT NULL CHECK (length(signature) = 32) -- HMAC-SHA256 over the other columns but id, by the key in audit_key
);
COMMENT ON TABLE audit_log IS 'What callers did. Only appended to.';
CREATE INDEX audit_log_at ON audit_log (at DESC, id DESC);
-- The history of a certificate is what callers did with it.
CREATE INDEX audit_log_certificate ON audit_log (entity_id, id) WHERE entity_type = 'Certificate';

-- owner: security
CREATE TABLE audit_key (
    one        boolean     PRIMARY KEY CHECK (one), -- there is one row
    sealed_key bytea       NOT NULL, -- the key that signs the audit log, sealed to this row and column
    created_at timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE audit_key IS 'The key of the audit log. Without the sealing key nobody can sign a line.';
