-- What was asked of enrollment, and what waits for approval. Slice: enrollment.

-- owner: enrollment
CREATE TABLE enrollment_requests (
    id                bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients as KeyfactorRequestId and WorkflowReferenceId
    instance_id       uuid        NOT NULL, -- version 7; shown to clients as WorkflowInstanceId
    kind              smallint    NOT NULL CHECK (kind IN (1, 2)), -- 1 the server made the key, 2 the caller sent a certificate request
    state             smallint    NOT NULL CHECK (state IN (1, 3, 5)), -- 1 issued, 3 denied, 5 waits for approval; as certificates' states in the operator contract, 3.5
    template_id       bigint      NOT NULL REFERENCES templates, -- by which template
    authority_id      bigint      NOT NULL REFERENCES authorities, -- by which authority
    requester         text        NOT NULL, -- name of the caller that asked
    subject           text        NOT NULL, -- distinguished name asked for
    common_name       text, -- its common name
    key_algorithm     text        NOT NULL, -- kind of the key, for people
    key_bits          integer     NOT NULL, -- its size
    curve             text, -- object identifier of its curve
    names             jsonb       NOT NULL CHECK (jsonb_typeof(names) = 'array'), -- alternative names: list of [kind, value]
    csr               bytea, -- DER of the caller's certificate request, while it waits
    sealed_key        bytea, -- PKCS#8 of the key, sealed to this row and column, while it waits; then it belongs to the certificate
    metadata          jsonb       NOT NULL CHECK (jsonb_typeof(metadata) = 'object'), -- metadata field to text, for the certificate
    enrollment_fields jsonb       NOT NULL CHECK (jsonb_typeof(enrollment_fields) = 'object'), -- enrollment field of the template to text
    owner_role_id     bigint, -- the role that is to own the certificate; no foreign key, the certificate has it
    renewal_of        bigint, -- the certificate that the new one follows
    submitted_at      timestamptz NOT NULL, -- when it was asked for
    decided_at        timestamptz, -- when it was issued or denied
    decided_by        text, -- name of the caller that approved or denied it; null when it was issued at once
    comment           text        CHECK (length(comment) <= 2000), -- what that caller said
    certificate_id    bigint      REFERENCES certificates ON DELETE SET NULL, -- the certificate, once it is issued; null again when its record was deleted
    CHECK ((state = 5) = (decided_at IS NULL)),
    CHECK (state = 1 OR certificate_id IS NULL),
    CHECK (state = 5 OR (csr IS NULL AND sealed_key IS NULL)),
    CHECK (state <> 5 OR kind = 2 OR sealed_key IS NOT NULL),
    CHECK (state <> 5 OR kind = 1 OR csr IS NOT NULL)
);
COMMENT ON TABLE enrollment_requests IS 'Every enrollment: those issued at once, and those that wait for approval or were denied.';
CREATE UNIQUE INDEX enrollment_requests_instance ON enrollment_requests (instance_id);
CREATE INDEX enrollment_requests_certificate ON enrollment_requests (certificate_id) WHERE certificate_id IS NOT NULL;
CREATE INDEX enrollment_requests_undecided ON enrollment_requests (id) WHERE state <> 1;
CREATE INDEX enrollment_requests_requester ON enrollment_requests (requester, id);

-- owner: enrollment
CREATE TABLE enrollment_deliveries (
    id              bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- grows with time
    request_id      bigint      NOT NULL REFERENCES enrollment_requests ON DELETE CASCADE, -- what is to be delivered once it is issued
    store_id        uuid        NOT NULL REFERENCES certificate_stores ON DELETE CASCADE, -- where to
    alias           text        CHECK (length(alias) <= 512), -- name of the entry; null lets the agent choose
    overwrite       boolean     NOT NULL, -- whether an entry of the same alias may be replaced
    properties      jsonb       NOT NULL CHECK (jsonb_typeof(properties) = 'object'), -- entry parameter to value
    replaced        text, -- thumbprint of the certificate that is replaced, if one is
    with_key        boolean     NOT NULL, -- whether the private key goes along, where the store takes it
    sealed_password bytea, -- password of the entry, sealed to this row and column, until it is delivered
    job_time        timestamptz, -- not before this; null for at once
    requested_by    text        NOT NULL, -- name of the caller that asked, whose permission was looked at then
    requested_at    timestamptz NOT NULL, -- when
    outcome         text        CHECK (length(outcome) <= 2000), -- null while it waits; then the job's id, or why there is none
    CHECK (outcome IS NULL OR sealed_password IS NULL)
);
COMMENT ON TABLE enrollment_deliveries IS 'Deliveries to stores that wait for their certificate to be issued.';
CREATE INDEX enrollment_deliveries_request ON enrollment_deliveries (request_id, id);
CREATE INDEX enrollment_deliveries_store ON enrollment_deliveries (store_id);
