-- Who may call: everything about a token but its secret (reference: safety F2, G1).
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 8),
    label TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),   -- SHA-256 of the secret
    scopes TEXT NOT NULL,                               -- in order, a space between two
    created REAL NOT NULL,
    expires REAL,
    revoked REAL,
    guest TEXT                                          -- JSON: a guest's hours, days and openings
) STRICT, WITHOUT ROWID;

-- Openings of guests whose number is limited: one row is written with the intent, and taken back
-- in the commit of an ending that says that nothing was sent. It outlives the operation.
CREATE TABLE token_uses (
    operation TEXT PRIMARY KEY NOT NULL,
    principal TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX token_uses_by_principal ON token_uses (principal);
