-- How far each subscription is. What happened itself is in operations.db; damaged or full, this
-- never keeps a door shut (reference: safety H2).

CREATE TABLE webhooks (
    name TEXT PRIMARY KEY,
    source TEXT NOT NULL,         -- of the events that ``seq`` counts
    seq INTEGER NOT NULL,         -- of the last event that is done with
    delivered INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    lost TEXT                     -- JSON: what has to be said first
) STRICT;
