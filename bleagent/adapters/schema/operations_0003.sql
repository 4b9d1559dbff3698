-- What a lock was when it first took our key; it must stay so (reference: safety H1).
CREATE TABLE proven_locks (
    lock TEXT PRIMARY KEY NOT NULL,
    major INTEGER NOT NULL,
    security_v2 INTEGER NOT NULL CHECK (security_v2 IN (0, 1)),
    virtual_id TEXT
) STRICT, WITHOUT ROWID;

-- A check code that was written and not answered: the old and the new one (safety C6).
CREATE TABLE code_attempts (
    lock TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
