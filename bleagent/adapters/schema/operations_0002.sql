-- When an operation ended by the clock that no one can set: seconds since boot, of which boot.
-- Unknown for what ended before this script ran.

ALTER TABLE operations ADD COLUMN ended REAL;
ALTER TABLE operations ADD COLUMN ended_boot TEXT;
