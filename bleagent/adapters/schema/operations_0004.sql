-- Who may call: everything about a token but its secret (reference: safety F2, G1).
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 8),
    label TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),   -- SHA-256 of the secret
    scopes TEXT NOT NULL,                               -- in order, a space between two
    created REAL NOT NULL,
    expires REAL,
    revoked REAL
) STRICT, WITHOUT ROWID;
