-- What grows. Damaged or full, it never keeps a door shut (reference: safety H2).

CREATE TABLE reports (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,      -- names the row to the seal
    lock TEXT NOT NULL,
    taken_at REAL NOT NULL,
    sealed BLOB NOT NULL          -- check codes and PINs can be in a report
) STRICT;

CREATE INDEX reports_by_lock ON reports (lock, seq);

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    event TEXT NOT NULL,
    principal TEXT,
    lock TEXT,
    operation TEXT,
    detail TEXT NOT NULL          -- JSON
) STRICT;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are only appended'); END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit rows are only appended'); END;
