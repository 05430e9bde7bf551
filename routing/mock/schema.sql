-- The mock chain's store. Times are microseconds since 1970, amounts decimal text.

-- What the chain knows of a signature. Deliberately no uniqueness on the reference: a double execution must be visible.
CREATE TABLE IF NOT EXISTS transactions (
    signature TEXT PRIMARY KEY,
    reference TEXT NOT NULL,
    payload BLOB NOT NULL,
    valid_until INTEGER NOT NULL,
    lands_at INTEGER,               -- NULL: it never will
    fate TEXT NOT NULL,             -- values.Fate; leaves 'pending' once and for ever
    amount_in TEXT,                 -- NULL also in rows of before: all that was offered
    amount_out TEXT,
    executed_price TEXT,
    fee TEXT,
    error TEXT
);

-- Settling: what is due.
CREATE INDEX IF NOT EXISTS transactions_due ON transactions (lands_at) WHERE fate = 'pending' AND lands_at IS NOT NULL;
-- The report on one reference.
CREATE INDEX IF NOT EXISTS transactions_reference ON transactions (reference);
-- The report: what landed, and which reference landed twice.
CREATE INDEX IF NOT EXISTS transactions_landed ON transactions (reference) WHERE fate = 'landed';

-- Every call, append only.
CREATE TABLE IF NOT EXISTS submissions (
    id INTEGER PRIMARY KEY,
    signature TEXT NOT NULL,
    reference TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS submissions_reference ON submissions (reference);

-- The faults that the chain was commanded to show.
CREATE TABLE IF NOT EXISTS faults (
    fault TEXT PRIMARY KEY,
    probability REAL NOT NULL,
    remaining INTEGER,              -- NULL: no end
    delay_us INTEGER NOT NULL
);
