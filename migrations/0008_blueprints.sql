-- Blueprints of agents. Slice: blueprints.

-- owner: blueprints
CREATE TABLE blueprints (
    id                    uuid        PRIMARY KEY, -- version 7
    name                  text        NOT NULL CHECK (length(name) BETWEEN 1 AND 256), -- unique whatever its case
    required_capabilities text[]      NOT NULL, -- full names; what an agent must be able to do to serve the stores
    modified_at           timestamptz NOT NULL -- when it was made: it is never changed
);
COMMENT ON TABLE blueprints IS 'What one agent serves, to be set up for others.';
CREATE UNIQUE INDEX blueprints_name ON blueprints (lower(name));

-- owner: blueprints
CREATE TABLE blueprint_stores (
    id                 uuid    PRIMARY KEY, -- version 7
    blueprint_id       uuid    NOT NULL REFERENCES blueprints ON DELETE CASCADE, -- its blueprint
    store_path         text    NOT NULL CHECK (length(store_path) BETWEEN 1 AND 1024), -- where on the machine of the agent
    store_type         integer NOT NULL, -- its kind, which may be gone by now
    container_id       bigint, -- its container, which may be gone by now
    create_if_missing  boolean NOT NULL, -- made by the agent when it is not there
    properties         jsonb   NOT NULL CHECK (jsonb_typeof(properties) = 'object'), -- property name to text; never a secret
    inventory_job_id   uuid    NOT NULL, -- id of its inventory job in answers
    inventory_schedule jsonb -- when it is inventoried; null for never
);
COMMENT ON TABLE blueprint_stores IS 'The certificate stores of a blueprint.';
CREATE INDEX blueprint_stores_blueprint ON blueprint_stores (blueprint_id);
