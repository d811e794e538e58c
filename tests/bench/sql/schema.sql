-- The plain side: the least that a queue with history needs, so that its figures are a ceiling and not a rival.
-- One primary key and two partial indexes on living jobs, two indexes on history.
CREATE TABLE jobs (
    id          uuid        PRIMARY KEY,
    request_id  uuid        NOT NULL, -- the call that made it
    agent_id    uuid        NOT NULL, -- who is to run it
    store_id    uuid        NOT NULL, -- what it changes
    kind        smallint    NOT NULL, -- 1 add
    state       smallint    NOT NULL DEFAULT 0, -- 0 waiting, 1 leased
    attempt     smallint    NOT NULL DEFAULT 0, -- attempts begun
    run_at      timestamptz NOT NULL DEFAULT now(), -- its place in the queue
    lease_until timestamptz, -- when the lease ends
    payload     jsonb       NOT NULL -- certificate and alias
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX jobs_waiting ON jobs (agent_id, run_at) WHERE state = 0;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 1;

CREATE TABLE job_history (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    job_id      uuid        NOT NULL, -- the job that ended
    agent_id    uuid        NOT NULL, -- who ran it
    store_id    uuid        NOT NULL, -- where
    kind        smallint    NOT NULL, -- as in jobs
    result      smallint    NOT NULL, -- 0 success
    attempt     smallint    NOT NULL, -- which attempt this was
    finished_at timestamptz NOT NULL DEFAULT now(), -- when it ended
    message     text -- for people
);
CREATE INDEX job_history_store ON job_history (store_id, finished_at DESC, id DESC);
CREATE INDEX job_history_job ON job_history (job_id);

-- For the smallest commit there is.
CREATE TABLE smallest (n integer);
