-- What need not be told or asked of a lock again: the list of its credentials, and T0, by a digest.

CREATE TABLE upkeep (
    lock TEXT NOT NULL,           -- the cloud's id of it: names change
    subject TEXT NOT NULL,
    progress TEXT NOT NULL,
    at REAL NOT NULL,             -- Unix seconds
    digest TEXT NOT NULL,
    silent INTEGER NOT NULL,      -- questions in a row that were not answered
    PRIMARY KEY (lock, subject)
) STRICT;
