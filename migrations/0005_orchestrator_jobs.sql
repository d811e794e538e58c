-- The queue and its history. Slice: orchestrator_jobs.
--
-- Living jobs stay in one small table, so that a claim never meets a finished row. Ending an attempt is one
-- statement that takes the job out of it (or puts it back for a retry) and writes the history row.

CREATE SEQUENCE job_history_id AS bigint MAXVALUE 9007199254740991; -- 2^53 - 1: agents hold it in a double

-- owner: orchestrator_jobs
CREATE TABLE jobs (
    id             uuid        PRIMARY KEY, -- version 7, so inserts stay at the index's right edge
    request_id     uuid        NOT NULL, -- the call that made it; the same for all its jobs
    agent_id       uuid        NOT NULL, -- who is to run it; no foreign key, it would cost each insert a row lock
    store_id       uuid        NOT NULL, -- the store it works on; a job that works on none has its own id here, so that it waits for nobody
    job_type       smallint    NOT NULL CHECK (job_type BETWEEN 1 AND 6), -- 1 inventory, 2 management, 3 reenrollment, 4 discovery, 5 log retrieval, 6 custom
    operation      smallint    NOT NULL CHECK (operation IN (1, 2, 3, 4, 6, 7, 9, 10)), -- 1 inventory, 2 add, 3 remove, 4 create, 6 reenrollment, 7 discovery, 9 log retrieval, 10 custom
    state          smallint    NOT NULL CHECK (state IN (1, 2, 5)), -- 1 waiting, 2 in process, 5 waiting for its next attempt
    attempt        smallint    NOT NULL DEFAULT 0 CHECK (attempt BETWEEN 0 AND max_attempts), -- attempts begun
    max_attempts   smallint    NOT NULL CHECK (max_attempts BETWEEN 1 AND 100), -- the last one is final
    run_at         timestamptz NOT NULL, -- not before this; also its place in the queue
    retry_at       timestamptz, -- when state 5 ends
    scheduled      boolean     NOT NULL, -- asked for at a time, not immediately
    recurrence     text, -- for a run of a job that comes again: its schedule, as I_, D_, W_ or M_ and so on
    requested_at   timestamptz NOT NULL, -- when it was asked for
    requested_by   text        NOT NULL, -- name of the caller, or what caused it
    certificate_id bigint, -- the certificate it is about
    details        jsonb       NOT NULL, -- alias, overwrite and the like; never a secret
    sealed_secret  bytea, -- entry password, sealed to this row and column; gone with the row
    agent_machine  text        NOT NULL, -- names as they were when it was asked for: history must not change with them
    client_machine text        NOT NULL, -- machine of the store
    store_path     text        NOT NULL, -- path of the store
    store_type     text        NOT NULL, -- short name of the store type; of a custom job its type's name
    lease_token    uuid, -- proves the lease of the running attempt
    lease_until    timestamptz, -- when the lease ends unless renewed
    started_at     timestamptz, -- start of the running or last attempt
    history_id     bigint, -- history id of the running or last attempt
    inventoried    boolean     NOT NULL DEFAULT false, -- the running attempt has stored a whole inventory; of a reenrollment, has had its request signed
    verification   jsonb, -- what the running or last attempt was told to prove its result by; null for nothing
    CHECK ((state = 2) = (lease_token IS NOT NULL)),
    CHECK ((state = 2) = (lease_until IS NOT NULL)),
    CHECK ((state = 5) = (retry_at IS NOT NULL)),
    CHECK ((attempt = 0) = (started_at IS NULL) AND (attempt = 0) = (history_id IS NULL)),
    CHECK (state = 1 OR attempt > 0),
    CHECK ((job_type = 1) = (operation = 1))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE jobs IS 'Living orchestrator jobs: waiting, in process, or waiting for a retry.';
-- For claims, in the order of the queue.
CREATE INDEX jobs_waiting ON jobs (agent_id, run_at, id) WHERE state = 1;
-- Stores that have an unfinished attempt, which no other job may enter; also what sweeps look through. Unique, so
-- that two replicas that lease at once cannot both enter: one fails, and its agent asks again.
CREATE UNIQUE INDEX jobs_occupied ON jobs (agent_id, store_id) WHERE state IN (2, 5);

-- owner: orchestrator_jobs
CREATE TABLE job_history (
    id             bigint      NOT NULL, -- from job_history_id, drawn when the attempt begins
    job_id         uuid        NOT NULL, -- the same for all attempts
    request_id     uuid        NOT NULL, -- the call that made the job
    agent_id       uuid        NOT NULL, -- who ran it
    store_id       uuid        NOT NULL, -- where
    job_type       smallint    NOT NULL, -- as in jobs
    operation      smallint    NOT NULL, -- as in jobs
    attempt        smallint    NOT NULL CHECK (attempt > 0), -- which attempt this was
    status         smallint    NOT NULL CHECK (status IN (3, 4, 5)), -- 3 completed, 4 acknowledged, 5 completed, will retry
    result         smallint    NOT NULL CHECK (result IN (2, 3, 4)), -- 2 success, 3 warning, 4 failure
    scheduled      boolean     NOT NULL, -- asked for at a time, not immediately
    recurrence     text, -- as in jobs
    run_at         timestamptz NOT NULL, -- when it was due
    requested_at   timestamptz NOT NULL, -- when it was asked for
    requested_by   text        NOT NULL, -- by whom
    started_at     timestamptz NOT NULL, -- start of the attempt
    finished_at    timestamptz NOT NULL, -- end of the attempt, by the server's clock
    certificate_id bigint, -- the certificate it was about
    agent_machine  text        NOT NULL, -- names as they were
    client_machine text        NOT NULL, -- machine of the store
    store_path     text        NOT NULL, -- path of the store
    store_type     text        NOT NULL, -- short name of the store type; of a custom job its type's name
    details        jsonb       NOT NULL, -- as in jobs, so that it can be asked for anew; never a secret
    had_secret     boolean     NOT NULL, -- it carried a secret that is gone, so it cannot be asked for anew
    lease_token    uuid, -- lets a repeated report be recognised; null for an attempt that ended without one
    message        text        NOT NULL CHECK (length(message) <= 8000), -- what happened, for people
    error_code     text, -- stable code of what went wrong
    installed      boolean, -- the agent read back what was asked for; null where it did not say
    verified       smallint CHECK (verified IN (0, 1, 2)), -- whether it is served: 0 not asked, 1 yes, 2 not proved; null where the agent did not say
    PRIMARY KEY (id, finished_at),
    CHECK (started_at <= finished_at),
    CHECK (status <> 5 OR result = 4)
) PARTITION BY RANGE (finished_at);
COMMENT ON TABLE job_history IS 'One row for each finished attempt. Months are dropped whole, never deleted from.';
CREATE INDEX job_history_job ON job_history (job_id);
-- As the list selects it: a job that works on no store has none.
CREATE INDEX job_history_store ON job_history (nullif(store_id, job_id), id DESC);
CREATE INDEX job_history_agent ON job_history (lower(agent_machine), id DESC);
CREATE INDEX job_history_certificate ON job_history (certificate_id, id DESC) WHERE certificate_id IS NOT NULL;
-- For callers that ask seldom; the rows of the others are found on the way down by id. No hash: many rows of one caller
-- make each insert walk a chain of pages.
CREATE INDEX job_history_caller ON job_history (lower(requested_by));
CREATE INDEX job_history_store_trouble ON job_history (nullif(store_id, job_id), id DESC) WHERE result <> 2;
CREATE INDEX job_history_trouble ON job_history (id DESC) WHERE result <> 2;

-- owner: orchestrator_jobs
CREATE TABLE job_history_default PARTITION OF job_history DEFAULT; -- rows no month was ready for: none is ever refused
COMMENT ON TABLE job_history_default IS 'Catches rows whose month has no partition, so that no result is refused.';

-- owner: orchestrator_jobs
CREATE TABLE job_steps (
    job_id      uuid        NOT NULL, -- the job
    attempt     smallint    NOT NULL, -- the attempt
    ordinal     smallint    NOT NULL CHECK (ordinal BETWEEN 1 AND 64), -- position within the attempt
    code        text        NOT NULL CHECK (code ~ '^[a-z0-9_]{1,40}$'), -- stable code
    message     text        NOT NULL CHECK (length(message) <= 4000), -- for people; no secret
    elapsed_ms  bigint      NOT NULL CHECK (elapsed_ms >= 0), -- since the agent took the job up
    duration_ms bigint      CHECK (duration_ms >= 0), -- how long the step took; null for one that only says that something is so
    before      text        CHECK (length(before) <= 400), -- what was there before, in few words
    after       text        CHECK (length(after) <= 400), -- what was there afterwards
    received_at timestamptz NOT NULL, -- by the server's clock
    PRIMARY KEY (job_id, attempt, ordinal)
);
COMMENT ON TABLE job_steps IS 'What agents reported of running attempts. Only appended to; a repeat is ignored.';
CREATE INDEX job_steps_received ON job_steps (received_at);

-- owner: orchestrator_jobs
CREATE TABLE attempt_evidence (
    history_id  bigint      PRIMARY KEY, -- the attempt that brought it
    job_id      uuid        NOT NULL, -- its job
    attempt     smallint    NOT NULL, -- which attempt of the job
    evidence    jsonb       NOT NULL, -- as in the agent protocol, Evidence, made fit: certificates before and after, what each target showed, what was put back, what would be done
    stored_at   timestamptz NOT NULL -- when it came; it goes when its month of history goes
);
COMMENT ON TABLE attempt_evidence IS 'What attempts found and proved, apart from history, whose rows stay small.';
CREATE INDEX attempt_evidence_job ON attempt_evidence (job_id, history_id);
CREATE INDEX attempt_evidence_stored ON attempt_evidence (stored_at);

-- owner: orchestrator_jobs
CREATE TABLE job_data (
    history_id  bigint      PRIMARY KEY, -- the attempt that brought it
    sealed_data bytea       NOT NULL, -- the result of a custom job, or a log, sealed to this row and column: logs can hold passwords
    stored_at   timestamptz NOT NULL -- when it came; it goes when its month of history goes
);
COMMENT ON TABLE job_data IS 'What agents sent back as the result of an attempt, beside its message.';
CREATE INDEX job_data_stored ON job_data (stored_at);

-- owner: orchestrator_jobs
CREATE TABLE custom_job_types (
    id          uuid        PRIMARY KEY, -- by which agents know the job type too
    name        text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100), -- unique whatever its case; the capability is Custom.<name>
    description text        NOT NULL CHECK (length(description) <= 1000), -- for people
    fields      jsonb       NOT NULL, -- list of {Name, Type, DefaultValue, Required}; 1 text, 2 whole number, 3 time, 4 flag, 5 secret
    created_at  timestamptz NOT NULL -- when it was made
);
COMMENT ON TABLE custom_job_types IS 'Kinds of jobs that operators describe and agents not ours bring programs for.';
CREATE UNIQUE INDEX custom_job_types_name ON custom_job_types (lower(name));

-- owner: orchestrator_jobs
CREATE TABLE recurring_jobs (
    id            uuid        PRIMARY KEY, -- the id of each of its runs, of which one lives at a time
    request_id    uuid        NOT NULL, -- the call that made it
    agent_id      uuid        NOT NULL, -- who is to run it
    job_type_id   uuid        NOT NULL REFERENCES custom_job_types, -- its kind
    schedule      jsonb       NOT NULL, -- as it was given
    recurrence    text        NOT NULL, -- the same in short, as in jobs
    next_at       timestamptz NOT NULL, -- when its next run is put into the queue
    requested_at  timestamptz NOT NULL, -- when it was asked for
    requested_by  text        NOT NULL, -- name of the caller
    details       jsonb       NOT NULL, -- as in jobs
    sealed_secret bytea, -- as in jobs, sealed to the row of a run there
    agent_machine text        NOT NULL, -- name of the agent when it was asked for
    type_name     text        NOT NULL -- name of its kind then
);
COMMENT ON TABLE recurring_jobs IS 'Custom jobs that come again and again.';
CREATE INDEX recurring_jobs_next ON recurring_jobs (next_at);
CREATE INDEX recurring_jobs_agent ON recurring_jobs (agent_id);
CREATE INDEX recurring_jobs_type ON recurring_jobs (job_type_id);
