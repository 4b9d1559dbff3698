-- How far each temporary password has come on its way to a lock: no digits, and nothing that an
-- opening needs. Damaged or full, this never keeps a door shut (reference: safety H2).

CREATE TABLE passwords (
    lock TEXT NOT NULL,           -- the cloud's id of it: names change
    password_id TEXT NOT NULL,    -- the cloud's
    terms TEXT NOT NULL,          -- when and how often it opens, as it was written
    state TEXT NOT NULL,
    doing TEXT,                   -- what the lock is asked for
    hardid INTEGER,               -- the lock's own number of it
    before TEXT NOT NULL,         -- JSON: the numbers that were taken before it was added
    result INTEGER,               -- the lock's word
    why TEXT,
    tries INTEGER NOT NULL,
    PRIMARY KEY (lock, password_id)
) STRICT;
