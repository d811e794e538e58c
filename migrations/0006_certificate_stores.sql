-- Certificate stores and what is in them. Slice: certificate_stores.

-- owner: certificate_stores
CREATE TABLE store_types (
    id               integer PRIMARY KEY, -- shown to clients; ours begin at 102, as the contract says
    short_name       text    NOT NULL CHECK (length(short_name) BETWEEN 1 AND 10), -- unique whatever its case
    name             text    NOT NULL, -- for people
    capability       text    NOT NULL, -- middle part of capability names: CertStores.<capability>.<job type>
    supports_add     boolean NOT NULL, -- certificates can be added
    supports_remove  boolean NOT NULL, -- entries can be removed
    supports_create  boolean NOT NULL, -- an empty store can be made
    private_key      smallint NOT NULL CHECK (private_key IN (0, 1, 2)), -- 0 forbidden, 1 optional, 2 required
    custom_alias     smallint NOT NULL CHECK (custom_alias IN (0, 1, 2)), -- 0 forbidden, 1 optional, 2 required
    entry_password   boolean NOT NULL, -- entries have passwords of their own
    store_password   boolean NOT NULL, -- the store needs a password
    properties       jsonb   NOT NULL, -- definitions of store properties: list of {Name, DisplayName, Type, DefaultValue, Required}
    entry_parameters jsonb   NOT NULL, -- definitions of entry parameters: list of {Name, DisplayName, Type, DefaultValue, Options, RequiredWhen}
    inventory_job_type  uuid NOT NULL, -- GUID by which agents of the published protocol know the job type
    management_job_type uuid NOT NULL -- likewise
);
COMMENT ON TABLE store_types IS 'Kinds of certificate store.';
CREATE UNIQUE INDEX store_types_short_name ON store_types (lower(short_name));

INSERT INTO store_types (id, short_name, name, capability, supports_add, supports_remove, supports_create, private_key,
    custom_alias, entry_password, store_password, properties, entry_parameters, inventory_job_type, management_job_type)
VALUES
    (2, 'PEM', 'PEM file', 'PEM', true, true, true, 1, 0, false, false,
     '[{"Name":"PrivateKeyPath","DisplayName":"Private key file","Type":"String","DefaultValue":null,"Required":false},
       {"Name":"ChainPath","DisplayName":"Chain file","Type":"String","DefaultValue":null,"Required":false},
       {"Name":"IncludeChain","DisplayName":"Write the chain","Type":"Bool","DefaultValue":"true","Required":false}]', '[]',
     'a809ce1f-1eea-4738-a38e-15708c89c981', '1d411b36-ae72-433f-9f3f-8593e836a1af'),
    (102, 'PKCS12', 'PKCS#12 file', 'PKCS12', true, true, true, 1, 1, false, true,
     '[{"Name":"Encryption","DisplayName":"Encryption","Type":"MultipleChoice","DefaultValue":"aes256,3des","Required":false}]', '[]',
     '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b01', '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b02'),
    (103, 'CCS', 'IIS Central Certificate Store', 'CCS', true, true, true, 2, 0, false, true,
     '[{"Name":"Encryption","DisplayName":"Encryption","Type":"MultipleChoice","DefaultValue":"aes256,3des","Required":false},
       {"Name":"ReplaceUnreadable","DisplayName":"Replace files that cannot be opened","Type":"Bool","DefaultValue":"false","Required":false}]', '[]',
     '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b03', '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b04');

-- owner: certificate_stores
CREATE TABLE containers (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients; in permission paths
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- unique whatever its case
    store_type integer     NOT NULL DEFAULT -1, -- the store type it is meant for; -1 for any
    created_at timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE containers IS 'Named groups of stores, for permissions and schedules.';
CREATE UNIQUE INDEX containers_name ON containers (lower(name));

-- owner: certificate_stores
CREATE TABLE certificate_stores (
    id                 uuid        PRIMARY KEY, -- version 7
    agent_id           uuid        NOT NULL REFERENCES agents, -- who serves it
    client_machine     text        NOT NULL CHECK (length(client_machine) BETWEEN 1 AND 256), -- the machine that holds it
    store_path         text        NOT NULL CHECK (length(store_path) BETWEEN 1 AND 1024), -- where on that machine
    store_type         integer     NOT NULL REFERENCES store_types, -- its kind
    container_id       bigint      REFERENCES containers, -- its container
    approved           boolean     NOT NULL, -- false for stores that discovery found
    create_if_missing  boolean     NOT NULL, -- made by the agent when it is not there
    properties         jsonb       NOT NULL CHECK (jsonb_typeof(properties) = 'object'), -- property name to text; secret ones are not here
    sealed_password    bytea, -- its password, sealed to this row and column
    inventory_schedule jsonb, -- the schedule as it was given; null for none
    next_inventory_at  timestamptz, -- when the next scheduled inventory is due
    inventory_job_id   uuid, -- the schedule's id as clients see it
    inventory_version  text, -- the agent's name for what store_entries hold; null before the first whole inventory
    inventoried_at     timestamptz, -- when that was stored
    created_at         timestamptz NOT NULL, -- when it was made
    CHECK ((inventory_schedule IS NULL) = (inventory_job_id IS NULL)),
    CHECK (next_inventory_at IS NULL OR inventory_schedule IS NOT NULL)
);
COMMENT ON TABLE certificate_stores IS 'Places for certificates, each served by one agent.';
CREATE UNIQUE INDEX certificate_stores_place ON certificate_stores (agent_id, lower(client_machine), store_path, store_type);
CREATE INDEX certificate_stores_machine ON certificate_stores (client_machine, id);
CREATE INDEX certificate_stores_container ON certificate_stores (container_id) WHERE container_id IS NOT NULL;
CREATE INDEX certificate_stores_due ON certificate_stores (next_inventory_at) WHERE next_inventory_at IS NOT NULL;

-- owner: certificate_stores
CREATE TABLE store_entries (
    id                bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    store_id          uuid    NOT NULL REFERENCES certificate_stores ON DELETE CASCADE, -- the store
    alias             text    NOT NULL CHECK (length(alias) BETWEEN 1 AND 512), -- its name in the store, as reported
    private_key_entry boolean NOT NULL, -- whether it has a private key
    parameters        jsonb   NOT NULL DEFAULT '{}', -- what the driver said beside that: name to text
    seen_in           bigint  NOT NULL -- history id of the inventory attempt that reported it last
);
COMMENT ON TABLE store_entries IS 'What agents read from stores.';
CREATE UNIQUE INDEX store_entries_alias ON store_entries (store_id, lower(alias));

-- owner: certificate_stores
CREATE TABLE store_entry_certificates (
    entry_id       bigint   NOT NULL REFERENCES store_entries ON DELETE CASCADE, -- the entry
    chain_level    smallint NOT NULL CHECK (chain_level BETWEEN 0 AND 63), -- 0 for the end entity
    certificate_id bigint   NOT NULL REFERENCES certificates, -- the certificate
    PRIMARY KEY (entry_id, chain_level)
);
COMMENT ON TABLE store_entry_certificates IS 'The certificates of each entry, end entity first.';
CREATE INDEX store_entry_certificates_certificate ON store_entry_certificates (certificate_id);
