-- Tells the numbers of these records from those of another file, should this one ever be lost.
CREATE TABLE event_source (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    name TEXT NOT NULL
) STRICT;

INSERT INTO event_source (only, name) VALUES (1, lower(hex(randomblob(4))));
