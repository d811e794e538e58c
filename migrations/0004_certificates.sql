-- Certificates, their keys, and collections. Slice: certificates.

-- owner: certificates
CREATE TABLE certificates (
    id                bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    sha256            bytea       NOT NULL CHECK (length(sha256) = 32), -- of the DER; what makes it the same certificate
    thumbprint        text        NOT NULL CHECK (thumbprint ~ '^[0-9A-F]{40}$'), -- SHA-1, as clients name it
    serial_number     text        NOT NULL, -- upper-case hexadecimal
    issued_dn         text        NOT NULL, -- subject
    issued_cn         text, -- common name of the subject, its first 256 characters
    issuer_dn         text        NOT NULL, -- issuer
    not_before        timestamptz NOT NULL, -- start of validity
    not_after         timestamptz NOT NULL, -- end of validity
    key_type          smallint    NOT NULL, -- 1 RSA, 3 ECC, ... as in the operator contract, 3.5
    key_bits          integer     NOT NULL, -- size of the key
    signing_algorithm text        NOT NULL, -- for example SHA-256withECDSA
    content           bytea       NOT NULL, -- DER
    dns_names         text[]      NOT NULL, -- names of kind DNS, lower case
    imported_at       timestamptz NOT NULL, -- when the server first saw it
    authority_id      bigint      REFERENCES authorities, -- which of our authorities issued it; null for others'
    template_id       bigint      REFERENCES templates, -- by which template
    requester         text, -- name of the caller that asked for it
    state             smallint    NOT NULL DEFAULT 1 CHECK (state IN (0, 1, 2, 6)), -- 0 unknown, 1 active, 2 revoked, 6 authority
    revoked_at        timestamptz, -- when it was revoked, if it was
    revoke_reason     smallint, -- reason code of RFC 5280, 5.3.1
    revoke_comment    text, -- what the revoker said
    metadata          jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'), -- metadata field to text
    owner_role_id     bigint      REFERENCES roles ON DELETE SET NULL, -- the role that answers for it
    CHECK ((state = 2) = (revoked_at IS NOT NULL) AND (revoked_at IS NULL) = (revoke_reason IS NULL))
);
COMMENT ON TABLE certificates IS 'Every certificate that was issued, imported or found by inventory.';
CREATE UNIQUE INDEX certificates_sha256 ON certificates (sha256);
CREATE INDEX certificates_thumbprint ON certificates (thumbprint);
CREATE INDEX certificates_not_after ON certificates (not_after, id);
CREATE INDEX certificates_cn ON certificates (lower(issued_cn));
CREATE INDEX certificates_serial_number ON certificates (serial_number);
CREATE INDEX certificates_owner ON certificates (owner_role_id) WHERE owner_role_id IS NOT NULL;
CREATE INDEX certificates_metadata ON certificates USING gin (metadata); -- which certificates use a field
CREATE INDEX certificates_authorities ON certificates USING hash (issued_dn) WHERE state = 6; -- issuers of chains, by name; a name may be too long for a tree

-- owner: certificates
CREATE TABLE certificate_keys (
    certificate_id bigint      PRIMARY KEY REFERENCES certificates ON DELETE CASCADE, -- whose key
    sealed_key     bytea       NOT NULL, -- PKCS#8 DER, sealed to this row and column
    stored_at      timestamptz NOT NULL -- when it was stored
);
COMMENT ON TABLE certificate_keys IS 'Private keys that the server keeps, apart from what lists read.';

-- owner: certificates
CREATE TABLE collections (
    id          bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    name        text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100), -- unique whatever its case
    description text        CHECK (length(description) <= 1000), -- what it is for
    query       text        NOT NULL CHECK (length(query) <= 4000), -- in the query language; empty: every certificate
    duplication_field smallint NOT NULL DEFAULT 0 CHECK (duplication_field BETWEEN 0 AND 4), -- of several certificates with the same name, lists show the newest: 0 none, 1 common name, 2 distinguished name
    show_on_dashboard boolean NOT NULL DEFAULT false, -- for pages of operators
    estimated_count   integer NOT NULL DEFAULT 0, -- how many certificates it held when last counted, 10001 at most
    estimated_at      timestamptz, -- when they were counted
    created_at  timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE collections IS 'Saved certificate queries that can carry permissions.';
CREATE UNIQUE INDEX collections_name ON collections (lower(name));

-- owner: certificates
CREATE TABLE collection_favorites (
    collection_id bigint NOT NULL REFERENCES collections ON DELETE CASCADE, -- the collection
    caller        text   NOT NULL CHECK (length(caller) BETWEEN 1 AND 512), -- name of the caller that marked it
    PRIMARY KEY (collection_id, caller)
);
COMMENT ON TABLE collection_favorites IS 'Which collections a caller wants to see among its own.';

-- owner: certificates
CREATE TABLE metadata_fields (
    id              bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    name            text        NOT NULL CHECK (name ~ '^[A-Za-z0-9_-]+$' AND length(name) <= 256), -- key in the metadata of certificates; unique whatever its case
    description     text        NOT NULL CHECK (length(description) <= 1024), -- what it is for
    data_type       smallint    NOT NULL CHECK (data_type BETWEEN 1 AND 7), -- 1 string, 2 integer, 3 date, 4 boolean, 5 multiple choice, 6 big text, 7 e-mail
    hint            text        CHECK (length(hint) <= 128), -- an example for those who fill it in
    validation      text        CHECK (length(validation) <= 4000), -- regular expression for strings
    enrollment      smallint    NOT NULL CHECK (enrollment BETWEEN 0 AND 2), -- 0 optional, 1 required, 2 hidden
    message         text        CHECK (length(message) <= 1024), -- said to who gives a value that does not match
    options         text        CHECK (length(options) <= 4000), -- choices, with commas between
    default_value   text        CHECK (length(default_value) <= 100), -- what is proposed
    display_order   integer     NOT NULL, -- place among the fields
    allow_api       boolean     NOT NULL, -- whether values may be changed through the API
    explicit_update boolean     NOT NULL, -- kept for clients
    created_at      timestamptz NOT NULL, -- when it was made
    CHECK ((data_type = 5) = (options IS NOT NULL))
);
COMMENT ON TABLE metadata_fields IS 'What operators may say about certificates.';
CREATE UNIQUE INDEX metadata_fields_name ON metadata_fields (lower(name));
