-- The audit has a file of its own. Nothing was ever written here.

DROP TABLE audit;
