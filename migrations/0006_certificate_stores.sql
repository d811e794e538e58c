-- Certificate stores and what is in them. Slice: certificate_stores.

-- Ids of types that clients make: the ready-made ones below are 0 to 107. Never used again, since audit lines name them.
CREATE SEQUENCE store_type_id AS integer START WITH 108;

-- owner: certificate_stores
CREATE TABLE store_types (
    id                  integer PRIMARY KEY, -- shown to clients; up to 101 built in, from 102 on as the contract says
    short_name          text    NOT NULL CHECK (length(short_name) BETWEEN 1 AND 10), -- unique whatever its case
    name                text    NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- for people
    capability          text    NOT NULL CHECK (length(capability) BETWEEN 1 AND 220), -- middle part of capability names: CertStores.<capability>.<job type>
    local_store         boolean NOT NULL, -- its agent runs on the machine that holds the store
    supports_add        boolean NOT NULL, -- certificates can be added
    supports_remove     boolean NOT NULL, -- entries can be removed
    supports_create     boolean NOT NULL, -- an empty store can be made
    supports_discovery  boolean NOT NULL, -- agents can look for stores
    supports_enrollment boolean NOT NULL, -- agents can make keys: reenrollment
    private_key         smallint NOT NULL CHECK (private_key IN (0, 1, 2)), -- 0 forbidden, 1 optional, 2 required
    custom_alias        smallint NOT NULL CHECK (custom_alias IN (0, 1, 2)), -- 0 forbidden, 1 optional, 2 required
    entry_password      boolean NOT NULL, -- entries have passwords of their own
    store_password      boolean NOT NULL, -- the store needs a password
    password_style      smallint NOT NULL DEFAULT 0 CHECK (password_style IN (0, 1)), -- 0 default, 1 custom
    certificate_format  smallint NOT NULL DEFAULT 0 CHECK (certificate_format IN (0, 1)), -- 0 PFX, 1 PEM
    store_path_type     text    NOT NULL DEFAULT '' CHECK (store_path_type IN ('', 'Freeform', 'Fixed', 'MultipleChoice')), -- what paths are: any text, one text, or one of some
    store_path_value    text    NOT NULL DEFAULT '' CHECK (length(store_path_value) <= 4000), -- that text, or a JSON array of texts
    server_required     boolean NOT NULL, -- the agent logs in to the store's machine
    power_shell         boolean NOT NULL DEFAULT false, -- its driver is a PowerShell script
    blueprint_allowed   boolean NOT NULL DEFAULT false, -- may be part of a blueprint
    job_properties      text[]  NOT NULL DEFAULT '{}', -- names of job properties, kept as they were given
    properties          jsonb   NOT NULL CHECK (jsonb_typeof(properties) = 'array'), -- store properties: list of {Name, DisplayName, Type, DependsOn, DefaultValue, Required}
    entry_parameters    jsonb   NOT NULL CHECK (jsonb_typeof(entry_parameters) = 'array'), -- entry parameters: list of {Name, DisplayName, Type, DependsOn, DefaultValue, Options, RequiredWhen}
    inventory_job_type  uuid    NOT NULL, -- GUID by which agents of the published protocol know the job type
    management_job_type uuid    NOT NULL, -- likewise
    discovery_job_type  uuid    NOT NULL, -- likewise; shown only where discovery is supported
    enrollment_job_type uuid    NOT NULL -- likewise; shown only where reenrollment is supported
);
COMMENT ON TABLE store_types IS 'Kinds of certificate store.';
CREATE UNIQUE INDEX store_types_short_name ON store_types (lower(short_name));
CREATE UNIQUE INDEX store_types_capability ON store_types (lower(capability));

INSERT INTO store_types (id, short_name, name, capability, local_store, supports_add, supports_remove, supports_create,
    supports_discovery, supports_enrollment, private_key, custom_alias, entry_password, store_password, store_path_type,
    store_path_value, server_required, blueprint_allowed, properties, entry_parameters, inventory_job_type,
    management_job_type, discovery_job_type, enrollment_job_type)
VALUES
    (0, 'JKS', 'Java keystore', 'JKS', true, true, true, true, true, true, 1, 1, false, true, '', '', false, false,
     '[]',
     '[]',
     '67b63010-d738-47c3-87a2-9f289466c881', 'b614f9e2-c56b-421c-b548-03d42eb32f8a', '74d9f7c5-b2ac-4f21-a72b-29b5adc90651', '48743e90-108e-4dc3-b81c-7fb830215d1f'),
    (2, 'PEM', 'PEM file', 'PEM', true, true, true, true, true, true, 1, 0, false, false, '', '', false, false,
     '[{"Name":"PrivateKeyPath","DisplayName":"Private key file","Type":"String","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ChainPath","DisplayName":"Chain file","Type":"String","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"IncludeChain","DisplayName":"Write the chain","Type":"Bool","DependsOn":null,"DefaultValue":"true","Required":false}]',
     '[]',
     'a809ce1f-1eea-4738-a38e-15708c89c981', '1d411b36-ae72-433f-9f3f-8593e836a1af', 'e98151de-53ad-4b99-b52a-f37118ec0c5c', 'aa015d10-cffc-41f7-a9a4-c9615f6f3bdf'),
    (102, 'PKCS12', 'PKCS#12 file', 'PKCS12', true, true, true, true, false, false, 1, 1, false, true, '', '', false, false,
     '[{"Name":"Encryption","DisplayName":"Encryption","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"aes256,3des","Required":false}]',
     '[]',
     '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b01', '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b02', gen_random_uuid(), gen_random_uuid()),
    (103, 'CCS', 'IIS Central Certificate Store', 'CCS', true, true, true, true, false, false, 2, 0, false, true, '', '', false, false,
     '[{"Name":"Encryption","DisplayName":"Encryption","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"aes256,3des","Required":false},
      {"Name":"ReplaceUnreadable","DisplayName":"Replace files that cannot be opened","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":false}]',
     '[]',
     '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b03', '0b6fdc5c-6a0f-4c39-8f0e-3c2e7a2f1b04', gen_random_uuid(), gen_random_uuid()),
    (104, 'WinCert', 'Windows Certificate', 'WinCert', false, true, true, false, false, true, 1, 0, false, false, '', '', true, false,
     '[{"Name":"spnwithport","DisplayName":"SPN With Port","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":false},
      {"Name":"WinRM Protocol","DisplayName":"WinRM Protocol","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"https,http,ssh","Required":true},
      {"Name":"WinRM Port","DisplayName":"WinRM Port","Type":"String","DependsOn":null,"DefaultValue":"5986","Required":true},
      {"Name":"ServerUsername","DisplayName":"Server Username","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerPassword","DisplayName":"Server Password","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerUseSsl","DisplayName":"Use SSL","Type":"Bool","DependsOn":null,"DefaultValue":"true","Required":true}]',
     '[{"Name":"ProviderName","DisplayName":"Crypto Provider Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"SAN","DisplayName":"SAN","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}}]',
     gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()),
    (105, 'IISU', 'IIS Bound Certificate', 'IISU', false, true, true, false, false, true, 2, 0, false, false, 'MultipleChoice', '["My","WebHosting"]', true, false,
     '[{"Name":"spnwithport","DisplayName":"SPN With Port","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":false},
      {"Name":"WinRM Protocol","DisplayName":"WinRM Protocol","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"https,http,ssh","Required":true},
      {"Name":"WinRM Port","DisplayName":"WinRM Port","Type":"String","DependsOn":null,"DefaultValue":"5986","Required":true},
      {"Name":"ServerUsername","DisplayName":"Server Username","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerPassword","DisplayName":"Server Password","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerUseSsl","DisplayName":"Use SSL","Type":"Bool","DependsOn":null,"DefaultValue":"true","Required":true}]',
     '[{"Name":"Port","DisplayName":"Port","Type":"String","DependsOn":null,"DefaultValue":"443","Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"IPAddress","DisplayName":"IP Address","Type":"String","DependsOn":null,"DefaultValue":"*","Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":true,"OnRemove":true,"OnReenrollment":true}},
      {"Name":"HostName","DisplayName":"Host Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"SiteName","DisplayName":"IIS Site Name","Type":"String","DependsOn":null,"DefaultValue":"Default Web Site","Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":true,"OnRemove":true,"OnReenrollment":true}},
      {"Name":"SniFlag","DisplayName":"SSL Flags","Type":"String","DependsOn":null,"DefaultValue":"0","Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"Protocol","DisplayName":"Protocol","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"https","Options":"https,http","RequiredWhen":{"HasPrivateKey":false,"OnAdd":true,"OnRemove":true,"OnReenrollment":true}},
      {"Name":"ProviderName","DisplayName":"Crypto Provider Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"SAN","DisplayName":"SAN","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}}]',
     gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()),
    (106, 'WinSql', 'WinSql', 'WinSql', false, true, true, false, false, false, 1, 0, false, false, 'Fixed', 'My', true, true,
     '[{"Name":"spnwithport","DisplayName":"SPN With Port","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":false},
      {"Name":"WinRM Protocol","DisplayName":"WinRM Protocol","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"https,http,ssh","Required":true},
      {"Name":"WinRM Port","DisplayName":"WinRM Port","Type":"String","DependsOn":null,"DefaultValue":"5986","Required":true},
      {"Name":"ServerUsername","DisplayName":"Server Username","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerPassword","DisplayName":"Server Password","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerUseSsl","DisplayName":"Use SSL","Type":"Bool","DependsOn":null,"DefaultValue":"true","Required":true},
      {"Name":"RestartService","DisplayName":"Restart SQL Service After Cert Installed","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":true}]',
     '[{"Name":"InstanceName","DisplayName":"Instance Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"ProviderName","DisplayName":"Crypto Provider Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}},
      {"Name":"SAN","DisplayName":"SAN","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}}]',
     gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid()),
    (107, 'WinAdfs', 'ADFS Rotation Manager', 'WinAdfs', false, true, false, false, false, false, 2, 0, false, false, 'Fixed', 'My', true, true,
     '[{"Name":"spnwithport","DisplayName":"SPN With Port","Type":"Bool","DependsOn":null,"DefaultValue":"false","Required":false},
      {"Name":"WinRM Protocol","DisplayName":"WinRM Protocol","Type":"MultipleChoice","DependsOn":null,"DefaultValue":"https,http,ssh","Required":true},
      {"Name":"WinRM Port","DisplayName":"WinRM Port","Type":"String","DependsOn":null,"DefaultValue":"5986","Required":true},
      {"Name":"ServerUsername","DisplayName":"Server Username","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerPassword","DisplayName":"Server Password","Type":"Secret","DependsOn":null,"DefaultValue":null,"Required":false},
      {"Name":"ServerUseSsl","DisplayName":"Use SSL","Type":"Bool","DependsOn":null,"DefaultValue":"true","Required":true}]',
     '[{"Name":"ProviderName","DisplayName":"Crypto Provider Name","Type":"String","DependsOn":null,"DefaultValue":null,"Options":null,"RequiredWhen":{"HasPrivateKey":false,"OnAdd":false,"OnRemove":false,"OnReenrollment":false}}]',
     gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid());

-- owner: certificate_stores
CREATE TABLE containers (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients; in permission paths
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- unique whatever its case
    store_type integer     NOT NULL DEFAULT -1, -- the store type it is meant for; -1 for any
    schedule   jsonb, -- inventory schedule for its stores, as it was given; null for none
    overwrite_schedules boolean NOT NULL DEFAULT false, -- its schedule replaces that of its stores
    created_at timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE containers IS 'Named groups of stores, for permissions and schedules.';
CREATE UNIQUE INDEX containers_name ON containers (lower(name));
CREATE INDEX containers_type ON containers (store_type) WHERE store_type <> -1;

-- owner: certificate_stores
CREATE TABLE store_servers (
    id              bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY, -- shown to clients
    server_type     integer     NOT NULL REFERENCES store_types, -- the store type it is for
    name            text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- client machine of the stores that use it
    use_ssl         boolean     NOT NULL, -- whether agents speak TLS to it
    container_id    bigint      REFERENCES containers, -- whose permissions decide about it
    sealed_username bytea       NOT NULL, -- sealed to this table, the key column and column
    sealed_password bytea       NOT NULL, -- likewise
    sealed_under    uuid        NOT NULL, -- the row's name to the sealing, known before its id
    created_at      timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE store_servers IS 'Logins to machines, for stores that name none of their own.';
CREATE UNIQUE INDEX store_servers_name ON store_servers (server_type, lower(name));
CREATE INDEX store_servers_container ON store_servers (container_id) WHERE container_id IS NOT NULL;

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
    secret_properties  jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(secret_properties) = 'object'), -- name of a secret property to the GUID that stands for it in answers
    sealed_properties  bytea, -- JSON object with the secret properties, sealed to this row and column
    sealed_password    bytea, -- its password, sealed to this row and column
    inventory_schedule jsonb, -- the schedule as it was given; null for none
    next_inventory_at  timestamptz, -- when the next scheduled inventory is due
    inventory_job_id   uuid, -- the schedule's id as clients see it
    inventory_version  text, -- the agent's name for what store_entries hold; null before the first whole inventory
    inventoried_at     timestamptz, -- when that was stored
    verification       jsonb       CHECK (jsonb_typeof(verification) = 'object'), -- how its agent proves that what is stored is served: {Targets, DeriveFromNames, OnMismatch, DeadlineSeconds}; null for not at all
    created_at         timestamptz NOT NULL, -- when it was made
    CHECK ((inventory_schedule IS NULL) = (inventory_job_id IS NULL)),
    CHECK (next_inventory_at IS NULL OR inventory_schedule IS NOT NULL)
);
COMMENT ON TABLE certificate_stores IS 'Places for certificates, each served by one agent.';
CREATE UNIQUE INDEX certificate_stores_place ON certificate_stores (agent_id, lower(client_machine), store_path, store_type);
CREATE INDEX certificate_stores_machine ON certificate_stores (client_machine, id);
CREATE INDEX certificate_stores_container ON certificate_stores (container_id) WHERE container_id IS NOT NULL;
CREATE INDEX certificate_stores_type ON certificate_stores (store_type);
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

-- owner: certificate_stores
CREATE TABLE store_served (
    store_id    uuid        NOT NULL REFERENCES certificate_stores ON DELETE CASCADE, -- the store
    host        text        NOT NULL CHECK (length(host) BETWEEN 1 AND 255), -- what was connected to
    port        integer     NOT NULL CHECK (port BETWEEN 1 AND 65535), -- and where there
    server_name text        NOT NULL CHECK (length(server_name) BETWEEN 1 AND 255), -- name offered in the handshake
    wanted      text        CHECK (wanted ~ '^[0-9A-F]{40}$'), -- thumbprint of what it should show; null where the agent did not say
    thumbprint  text        CHECK (thumbprint ~ '^[0-9A-F]{40}$'), -- of what it showed; null when there was no handshake
    matches     boolean     NOT NULL, -- it showed what it should
    protocol    text        CHECK (protocol IN ('1.2', '1.3')), -- version of TLS that was spoken
    reason      text        CHECK (length(reason) <= 1000), -- what differs, or why there was no handshake
    history_id  bigint      NOT NULL, -- the attempt that looked; a report that comes late changes nothing
    seen_at     timestamptz NOT NULL, -- when its report came
    PRIMARY KEY (store_id, host, port, server_name),
    CHECK (NOT matches OR thumbprint IS NOT NULL)
);
COMMENT ON TABLE store_served IS 'What the targets of each store showed last, told by its agent.';
CREATE INDEX store_served_differs ON store_served (store_id) WHERE NOT matches;
