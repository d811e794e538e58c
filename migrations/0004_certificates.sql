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
    metadata          jsonb       NOT NULL DEFAULT '{}', -- metadata field to text
    CHECK ((state = 2) = (revoked_at IS NOT NULL) AND (revoked_at IS NULL) = (revoke_reason IS NULL))
);
COMMENT ON TABLE certificates IS 'Every certificate that was issued, imported or found by inventory.';
CREATE UNIQUE INDEX certificates_sha256 ON certificates (sha256);
CREATE INDEX certificates_thumbprint ON certificates (thumbprint);
CREATE INDEX certificates_not_after ON certificates (not_after, id);
CREATE INDEX certificates_cn ON certificates (lower(issued_cn));

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
    created_at  timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE collections IS 'Saved certificate queries that can carry permissions.';
CREATE UNIQUE INDEX collections_name ON collections (lower(name));
