-- The audit log in SQLite, version 1.
--
-- entries, payloads, step_intents and step_results only grow. The triggers guard against accidents; against
-- somebody with the file there is the chain.

CREATE TABLE head (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT    NOT NULL,
    seq    INTEGER NOT NULL CHECK (seq >= 0),
    mac    BLOB    NOT NULL CHECK (length(mac) = 32),
    fence  INTEGER NOT NULL CHECK (fence >= 0)
) STRICT;

CREATE TABLE entries (
    seq         INTEGER PRIMARY KEY CHECK (seq > 0),
    -- Canonical bytes, verbatim. Everything below down to key_id is computed from them.
    header      TEXT    NOT NULL,
    leaf        BLOB    NOT NULL CHECK (length(leaf) = 32),
    mac         BLOB    NOT NULL CHECK (length(mac) = 32),
    key_id      TEXT    NOT NULL,
    -- Copies of header fields, for searching only.
    time_us     INTEGER NOT NULL,
    event_type  TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    request     TEXT,
    request_uid TEXT,
    plan        TEXT,
    plan_uid    TEXT,
    step_id     TEXT
) STRICT;

CREATE INDEX entries_by_type ON entries (event_type, seq);
CREATE INDEX entries_by_user ON entries (username, seq);
CREATE INDEX entries_by_request ON entries (request, seq) WHERE request IS NOT NULL;
CREATE INDEX entries_by_request_uid ON entries (request_uid, seq) WHERE request_uid IS NOT NULL;
CREATE INDEX entries_by_plan ON entries (plan, seq) WHERE plan IS NOT NULL;
CREATE INDEX entries_by_plan_uid ON entries (plan_uid, seq) WHERE plan_uid IS NOT NULL;

CREATE TABLE payloads (
    seq     INTEGER PRIMARY KEY REFERENCES entries (seq),
    salt    BLOB NOT NULL,
    payload TEXT NOT NULL
) STRICT;

-- The execution lock: one row per step that was ever begun.
CREATE TABLE step_intents (
    step_id TEXT    PRIMARY KEY,
    seq     INTEGER NOT NULL UNIQUE REFERENCES entries (seq),
    fence   INTEGER NOT NULL
) STRICT;

-- One row per step that ended.
CREATE TABLE step_results (
    step_id TEXT    PRIMARY KEY REFERENCES step_intents (step_id),
    seq     INTEGER NOT NULL UNIQUE REFERENCES entries (seq)
) STRICT;

-- Not part of the log: what undoes a step, until its plan is gone.
CREATE TABLE rollback_data (
    plan_uid TEXT NOT NULL,
    step_id  TEXT NOT NULL,
    sha256   BLOB NOT NULL CHECK (length(sha256) = 32),
    bytes    BLOB NOT NULL,
    PRIMARY KEY (plan_uid, step_id)
) STRICT;

-- INSERT OR REPLACE would delete without asking the delete triggers, so inserting over a row is refused too.
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entries)
BEGIN SELECT RAISE(ABORT, 'audit entries are numbered without gaps'); END;
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;

CREATE TRIGGER payloads_once BEFORE INSERT ON payloads
WHEN EXISTS (SELECT 1 FROM payloads WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'audit payloads are never changed'); END;
CREATE TRIGGER payloads_no_update BEFORE UPDATE ON payloads
BEGIN SELECT RAISE(ABORT, 'audit payloads are never changed'); END;
CREATE TRIGGER payloads_no_delete BEFORE DELETE ON payloads
BEGIN SELECT RAISE(ABORT, 'audit payloads are never deleted'); END;

CREATE TRIGGER step_intents_once BEFORE INSERT ON step_intents
WHEN EXISTS (SELECT 1 FROM step_intents WHERE step_id = NEW.step_id OR seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'a step is begun once'); END;
CREATE TRIGGER step_intents_no_update BEFORE UPDATE ON step_intents
BEGIN SELECT RAISE(ABORT, 'execution locks are never changed'); END;
CREATE TRIGGER step_intents_no_delete BEFORE DELETE ON step_intents
BEGIN SELECT RAISE(ABORT, 'execution locks are never deleted'); END;

CREATE TRIGGER step_results_once BEFORE INSERT ON step_results
WHEN EXISTS (SELECT 1 FROM step_results WHERE step_id = NEW.step_id OR seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'a step ends once'); END;
CREATE TRIGGER step_results_no_update BEFORE UPDATE ON step_results
BEGIN SELECT RAISE(ABORT, 'step results are never changed'); END;
CREATE TRIGGER step_results_no_delete BEFORE DELETE ON step_results
BEGIN SELECT RAISE(ABORT, 'step results are never deleted'); END;

CREATE TRIGGER head_once BEFORE INSERT ON head
WHEN EXISTS (SELECT 1 FROM head)
BEGIN SELECT RAISE(ABORT, 'there is one head'); END;
CREATE TRIGGER head_forward BEFORE UPDATE ON head
WHEN NEW.id <> OLD.id OR NEW.origin <> OLD.origin OR NEW.seq < OLD.seq OR NEW.fence < OLD.fence
BEGIN SELECT RAISE(ABORT, 'the head only moves forward'); END;
CREATE TRIGGER head_no_delete BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'the head is never deleted'); END;
