-- What was done, by whom, in a chain (reference: safety H3). Damaged or full, it never keeps a door
-- shut (H2).

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,       -- Unix milliseconds
    event TEXT NOT NULL,
    principal TEXT,
    lock TEXT,
    operation TEXT,
    detail TEXT NOT NULL,         -- JSON
    digest BLOB NOT NULL,         -- SHA-256 over the digest before it and this row
    mac BLOB NOT NULL             -- HMAC-SHA256 over the digest, its key used once
) STRICT;

CREATE TABLE audit_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    chain TEXT NOT NULL,          -- names it
    number INTEGER NOT NULL,      -- of the last row
    digest BLOB NOT NULL,
    mac BLOB NOT NULL,
    sealed BLOB NOT NULL,         -- the key of the next row
    cut INTEGER NOT NULL,         -- up to this number the oldest were cut off
    cut_digest BLOB NOT NULL
) STRICT;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are only appended'); END;

CREATE TRIGGER audit_is_cut_where_it_says BEFORE DELETE ON audit
WHEN OLD.number > (SELECT cut FROM audit_head)
BEGIN SELECT RAISE(ABORT, 'audit rows are only appended'); END;
