-- Who may call, and what was done. Slice: security.

-- owner: security
CREATE TABLE roles (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    name         text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100), -- unique whatever its case
    description  text        NOT NULL DEFAULT '', -- what the role is for
    immutable    boolean     NOT NULL DEFAULT false, -- built in: neither changed nor deleted
    permissions  text[]      NOT NULL CHECK (cardinality(permissions) <= 1000), -- canonical permission paths, each ending in a slash
    created_at   timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE roles IS 'Named sets of permissions. A grant covers everything below it in the tree of paths.';
CREATE UNIQUE INDEX roles_name ON roles (lower(name));

-- owner: security
CREATE TABLE users (
    id            bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- DOMAIN\user or user; unique whatever its case
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$%'), -- PHC string, never the password
    enabled       boolean     NOT NULL DEFAULT true, -- false refuses every log-in
    created_at    timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE users IS 'Callers that log in by HTTP Basic.';
CREATE UNIQUE INDEX users_name ON users (lower(name));

-- owner: security
CREATE TABLE user_roles (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE, -- the user
    role_id bigint NOT NULL REFERENCES roles ON DELETE RESTRICT, -- a role the user has
    PRIMARY KEY (user_id, role_id)
);
COMMENT ON TABLE user_roles IS 'Which roles a user has.';

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
    message     text        NOT NULL CHECK (length(message) <= 4000) -- what was done; no secret
);
COMMENT ON TABLE audit_log IS 'What callers did. Only appended to.';
CREATE INDEX audit_log_at ON audit_log (at DESC, id DESC);
