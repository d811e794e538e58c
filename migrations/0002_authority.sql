-- The embedded authority. Slice: authority.

-- owner: authority
CREATE TABLE authorities (
    id              bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    kind            text        NOT NULL CHECK (kind IN ('root', 'issuing', 'agents')), -- issuing signs for web servers, agents signs agents' identities
    name            text        NOT NULL CHECK (length(name) BETWEEN 1 AND 128), -- logical name, as clients write it
    parent_id       bigint      REFERENCES authorities, -- the authority that signed this one; null when it signed itself
    certificate     bytea       NOT NULL, -- DER
    sealed_key      bytea, -- PKCS#8 of its key, sealed to this row and column; null for an imported root, whose key is held elsewhere
    created_at      timestamptz NOT NULL, -- when it was made or imported
    crl             bytea, -- DER of its newest revocation list; null until one is signed
    crl_number      bigint      NOT NULL DEFAULT 0, -- number of that list (RFC 5280, 5.2.3); only grows
    crl_next_update timestamptz, -- when that list must be replaced at the latest
    crl_stale       boolean     NOT NULL DEFAULT true, -- a revocation since that list
    enrollment_types smallint   NOT NULL DEFAULT 7 CHECK (enrollment_types BETWEEN 0 AND 7), -- what the issuing one enrolls: 1 PFX, 2 CSR, 4 CSR generation, added up
    restricted      boolean     NOT NULL DEFAULT false, -- whether only allowed_roles may have it issue
    allowed_roles   text[]      NOT NULL DEFAULT '{}', -- names of those roles
    require_dns     boolean     NOT NULL DEFAULT false, -- whether each certificate needs a DNS name (RFC 2818)
    one_click       boolean     NOT NULL DEFAULT true, -- whether its certificates may be renewed by one call
    terms           boolean     NOT NULL DEFAULT false, -- whether clients are to show terms before they enroll
    CHECK ((crl IS NULL) = (crl_next_update IS NULL)),
    CHECK (kind <> 'root' OR parent_id IS NULL),
    CHECK (kind <> 'issuing' OR parent_id IS NOT NULL), -- the agents' authority signs itself when the root was imported
    CHECK (kind = 'root' OR sealed_key IS NOT NULL)
);
COMMENT ON TABLE authorities IS 'Certificate authorities whose keys this server holds.';
CREATE UNIQUE INDEX authorities_name ON authorities (lower(name));
CREATE UNIQUE INDEX authorities_kind ON authorities (kind);

-- owner: authority
CREATE TABLE templates (
    id                    bigint   PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    short_name            text     NOT NULL CHECK (length(short_name) BETWEEN 1 AND 128), -- what clients send as Template
    display_name          text     NOT NULL, -- for people
    validity_days         integer  NOT NULL CHECK (validity_days BETWEEN 1 AND 3650), -- length of life of what it issues
    key_algorithms        text[]   NOT NULL CHECK (cardinality(key_algorithms) > 0), -- allowed keys, the default first: RSA-2048, RSA-3072, RSA-4096, P-256, P-384, Ed25519
    extended_key_usages   text[]   NOT NULL, -- object identifiers put into what it issues
    restricted            boolean  NOT NULL DEFAULT false, -- whether only allowed_roles may use it; otherwise everyone who may enroll
    allowed_roles         text[]   NOT NULL DEFAULT '{}', -- names of those roles
    enrollment_types      smallint NOT NULL DEFAULT 7 CHECK (enrollment_types BETWEEN 0 AND 7), -- 1 PFX, 2 CSR, 4 CSR generation, added up
    requires_approval     boolean  NOT NULL DEFAULT false, -- whether someone must approve before it issues
    keeps_keys            boolean  NOT NULL DEFAULT true, -- whether keys that the server makes stay with it
    one_click             boolean  NOT NULL DEFAULT true, -- whether its certificates may be renewed by one call
    allow_wildcards       boolean, -- whether names may begin with *.; null: as template_settings say
    allow_key_reuse       boolean, -- whether a renewal may keep the key; null: as template_settings say
    require_dns           boolean, -- whether each certificate needs a DNS name; null: as template_settings say
    subject_rules         jsonb    NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(subject_rules) = 'array'), -- list of {SubjectPart, Regex, Error}
    subject_defaults      jsonb    NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(subject_defaults) = 'array'), -- list of {SubjectPart, Value}
    enrollment_fields     jsonb    NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(enrollment_fields) = 'array') -- list of {Id, Name, Options, DataType}
);
COMMENT ON TABLE templates IS 'What the authority may issue, to whom, and for how long.';
CREATE UNIQUE INDEX templates_short_name ON templates (lower(short_name));

INSERT INTO templates (short_name, display_name, validity_days, key_algorithms, extended_key_usages)
VALUES ('TLSServer', 'TLS server', 47, '{P-256,RSA-2048,RSA-3072,RSA-4096,P-384}', '{1.3.6.1.5.5.7.3.1}'),
       ('TLSServerClient', 'TLS server and client', 47, '{P-256,RSA-2048,RSA-3072,RSA-4096,P-384}',
        '{1.3.6.1.5.5.7.3.1,1.3.6.1.5.5.7.3.2}');

-- owner: authority
CREATE TABLE template_settings (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row), -- there is one row
    allow_wildcards  boolean NOT NULL, -- for templates that do not say otherwise
    allow_key_reuse  boolean NOT NULL, -- likewise
    require_dns      boolean NOT NULL, -- likewise
    subject_rules    jsonb   NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(subject_rules) = 'array'), -- as in templates, for parts of which a template says nothing
    subject_defaults jsonb   NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(subject_defaults) = 'array') -- likewise
);
COMMENT ON TABLE template_settings IS 'What holds for all templates that do not say otherwise.';

INSERT INTO template_settings (allow_wildcards, allow_key_reuse, require_dns) VALUES (true, false, false);

-- owner: authority
CREATE TABLE issued_serials (
    authority_id  bigint      NOT NULL REFERENCES authorities, -- who signed
    serial        bytea       NOT NULL CHECK (length(serial) BETWEEN 8 AND 20), -- serial number, big endian
    subject       text        NOT NULL, -- distinguished name
    issued_at     timestamptz NOT NULL, -- when it was signed
    not_after     timestamptz NOT NULL, -- end of its life; a revocation is listed until then
    revoked_at    timestamptz, -- when it was revoked, if it was
    revoke_reason smallint, -- reason code of RFC 5280, 5.3.1
    PRIMARY KEY (authority_id, serial),
    CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL))
);
COMMENT ON TABLE issued_serials IS 'Every certificate an authority signed, written before the certificate leaves the server.';
CREATE INDEX issued_serials_revoked ON issued_serials (authority_id, revoked_at) WHERE revoked_at IS NOT NULL;
