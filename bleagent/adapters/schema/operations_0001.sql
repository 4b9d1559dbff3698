-- What an unlock needs, and no more: it stays small, and nothing that grows is kept in here
-- (reference: safety H2).

CREATE TABLE operations (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lock TEXT NOT NULL,
    action TEXT NOT NULL,
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    boot TEXT NOT NULL,           -- the kernel's boot id when the intent was stored (A7)
    phase TEXT NOT NULL CHECK (phase IN ('intent', 'sending', 'finished')),
    sn INTEGER,                   -- of the frame that was about to leave
    requested_at REAL NOT NULL,   -- Unix seconds, as are all times here
    finished_at REAL,
    ending TEXT,                  -- JSON
    CHECK (phase <> 'intent' OR sn IS NULL),
    CHECK (phase <> 'sending' OR sn IS NOT NULL),
    CHECK ((phase = 'finished') = (ending IS NOT NULL)),
    CHECK ((phase = 'finished') = (finished_at IS NOT NULL))
) STRICT;

CREATE INDEX operations_by_lock ON operations (lock, seq);
CREATE INDEX operations_open ON operations (phase) WHERE phase <> 'finished';

-- Its primary key is the table itself: a check of the tree is a check of what is looked up.
CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (seq),
    aged_from REAL,               -- trusted time at which the first pruning saw it
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_operation ON idempotency (operation);

CREATE TABLE sealed_marks (
    lock TEXT PRIMARY KEY NOT NULL,
    sn INTEGER NOT NULL CHECK (sn BETWEEN 0 AND 2147483648)
) STRICT, WITHOUT ROWID;

CREATE TABLE timestamps (
    lock TEXT PRIMARY KEY NOT NULL,
    used INTEGER NOT NULL CHECK (used BETWEEN 0 AND 4294967295)
) STRICT, WITHOUT ROWID;

CREATE TABLE issued_configs (
    lock TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device_facts (
    lock TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trusted_time (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    highest REAL NOT NULL
) STRICT;
