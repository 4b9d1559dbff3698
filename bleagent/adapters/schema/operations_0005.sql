-- In which order operations ended, and the lock said more about them: written in the commits that
-- say so anyway, for whoever follows what happens and comes back later.
CREATE TABLE operation_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    operation INTEGER NOT NULL,   -- operations.seq
    kind TEXT NOT NULL CHECK (kind IN ('operation', 'evidence')),
    heard INTEGER NOT NULL        -- pieces of evidence that there were then, this one included
) STRICT;

-- Tells these numbers from those of another file, should this one ever be lost.
CREATE TABLE event_source (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    name TEXT NOT NULL
) STRICT;

INSERT INTO event_source (only, name) VALUES (1, lower(hex(randomblob(4))));
