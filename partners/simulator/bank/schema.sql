-- The bank's whole memory. Written by one process; every statement is safe to run at each start.

CREATE TABLE IF NOT EXISTS control (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    body TEXT NOT NULL -- the settings that control has changed, JSON
);

CREATE TABLE IF NOT EXISTS payouts (
    id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    beneficiary TEXT NOT NULL, -- as published, JSON, account masked
    truth TEXT NOT NULL CHECK (truth IN ('pending', 'paid', 'failed', 'cancelled', 'returned')),
    told TEXT NOT NULL CHECK (told IN ('pending', 'paid', 'failed', 'cancelled', 'returned')),
    code TEXT,
    returned_minor INTEGER,
    fee_minor INTEGER,
    created_at TEXT NOT NULL,
    booked_at TEXT,
    value_on TEXT,
    line INTEGER REFERENCES lines (seq),
    visible_at REAL NOT NULL,
    quirks TEXT NOT NULL -- JSON
);
CREATE INDEX IF NOT EXISTS payouts_by_reference ON payouts (reference);
CREATE INDEX IF NOT EXISTS payouts_pending ON payouts (currency, amount_minor)
    WHERE truth = 'pending';

-- What each reference was tried with, and what is wrong with it: drawn once, kept for ever.
CREATE TABLE IF NOT EXISTS tries (
    reference TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    quirks TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY,
    body_hash TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    stored_at REAL NOT NULL
);

CREATE TABLE IF NOT EXISTS lines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    booked_at TEXT NOT NULL,
    value_on TEXT NOT NULL,
    amount_minor INTEGER NOT NULL CHECK (amount_minor <> 0),
    currency TEXT NOT NULL,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('credit', 'payout', 'payout_return')),
    balance_minor INTEGER NOT NULL CHECK (balance_minor >= 0),
    payout INTEGER REFERENCES payouts (id),
    credit_id TEXT UNIQUE
);
CREATE INDEX IF NOT EXISTS lines_by_day ON lines (currency, booked_at);
-- A debit by mistake belongs to no payout; returns may come in parts, or once too often.
DROP INDEX IF EXISTS lines_once;
CREATE UNIQUE INDEX IF NOT EXISTS lines_debited_once ON lines (payout)
    WHERE kind = 'payout' AND payout IS NOT NULL;

CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines
BEGIN SELECT RAISE(ABORT, 'a booked line never changes'); END;
CREATE TRIGGER IF NOT EXISTS lines_never_go BEFORE DELETE ON lines
BEGIN SELECT RAISE(ABORT, 'a booked line never goes'); END;

CREATE TABLE IF NOT EXISTS balances (
    currency TEXT PRIMARY KEY,
    booked_minor INTEGER NOT NULL CHECK (booked_minor >= 0)
);

CREATE TABLE IF NOT EXISTS steps (
    id INTEGER PRIMARY KEY,
    payout INTEGER NOT NULL REFERENCES payouts (id),
    action TEXT NOT NULL,
    due_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS steps_by_due ON steps (due_at);

CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    payout INTEGER REFERENCES payouts (id),
    body TEXT NOT NULL -- the exact bytes that are signed and sent
);
CREATE INDEX IF NOT EXISTS events_by_payout ON events (payout, type);

CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL REFERENCES events (id),
    state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'given_up')),
    tries INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    wrong_signatures INTEGER NOT NULL DEFAULT 0, -- how many tries are signed wrongly
    tries_max INTEGER -- given up after so many; NULL: never
);
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due_at) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
