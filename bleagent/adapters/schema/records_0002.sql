-- What the reports say: records, each with one identity for ever (reference: safety D3), and how
-- far each is on its way to each sink (D5). Damaged or full, it never keeps a door shut (H2).

CREATE TABLE records (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,             -- 32 hexadecimal digits, the message id
    report INTEGER NOT NULL REFERENCES reports (seq),
    part INTEGER NOT NULL,               -- which datapoint of the report
    lock TEXT NOT NULL,
    device_id TEXT NOT NULL,
    dp INTEGER NOT NULL,
    type INTEGER NOT NULL,
    kind TEXT NOT NULL,
    value INTEGER,
    value_hash TEXT NOT NULL,
    wire_time TEXT NOT NULL,             -- as the lock wrote it when it was taken first
    lock_seconds REAL NOT NULL,
    at REAL NOT NULL,
    quality TEXT NOT NULL CHECK (quality IN ('lock', 'received', 'unknown')),
    turn INTEGER NOT NULL,               -- order within one second: a backlog comes newest first
    taken_at REAL NOT NULL,
    live INTEGER NOT NULL CHECK (live IN (0, 1)),
    operation TEXT,
    may_return INTEGER NOT NULL CHECK (may_return IN (0, 1)),
    released_at REAL,
    late INTEGER NOT NULL DEFAULT 0 CHECK (late IN (0, 1))
) STRICT;

CREATE INDEX records_by_time ON records (at, seq);
CREATE INDEX records_by_lock ON records (lock, at, seq);
CREATE INDEX records_by_identity ON records (lock, dp, value_hash, wire_time);
CREATE INDEX records_by_report ON records (report);
CREATE INDEX records_that_may_return ON records (lock, dp, value_hash) WHERE may_return = 1;
CREATE INDEX records_unreleased ON records (lock, taken_at) WHERE released_at IS NULL;

-- One row for each record and sink. ``lock``, ``at`` and ``turn`` are the record's: the next one
-- to carry is found by an index alone, however many wait.
CREATE TABLE deliveries (
    sink TEXT NOT NULL,
    record INTEGER NOT NULL REFERENCES records (seq),
    lock TEXT NOT NULL,
    at REAL NOT NULL,
    turn INTEGER NOT NULL,
    taken_at REAL NOT NULL,
    released INTEGER NOT NULL CHECK (released IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'parked', 'dropped')),
    attempts INTEGER NOT NULL DEFAULT 0,
    code TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (sink, record)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_next ON deliveries (sink, lock, at, turn)
    WHERE state = 'waiting' AND released = 1;
CREATE INDEX deliveries_held ON deliveries (lock) WHERE released = 0;
CREATE INDEX deliveries_of_record ON deliveries (record);
CREATE INDEX deliveries_oldest ON deliveries (sink, taken_at) WHERE state = 'waiting';
CREATE INDEX deliveries_parked ON deliveries (sink, record) WHERE state = 'parked';

-- Kept as counts, so that 100,000 waiting ones need not be counted at every arrival (D6).
CREATE TABLE sink_counts (
    sink TEXT PRIMARY KEY NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE routes_closed (
    sink TEXT NOT NULL,
    lock TEXT NOT NULL,
    code TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (sink, lock)
) STRICT, WITHOUT ROWID;

CREATE TABLE taken_counts (
    lock TEXT PRIMARY KEY NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0,
    duplicate INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- When something may have been lost on the air (D2).
CREATE TABLE gaps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    lock TEXT NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL
) STRICT;
