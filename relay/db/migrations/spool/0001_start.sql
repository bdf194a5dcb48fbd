-- A message and its content live as long as one of its jobs does.
CREATE TABLE message (
  id TEXT PRIMARY KEY,
  created REAL NOT NULL,                -- seconds since 1970
  sender TEXT,                          -- NULL is the null path
  smtputf8 INTEGER NOT NULL,
  eight_bit INTEGER NOT NULL,
  requiretls INTEGER NOT NULL,
  size INTEGER NOT NULL                 -- octets
) WITHOUT ROWID;

CREATE TABLE body (
  message_id TEXT PRIMARY KEY REFERENCES message (id),
  content BLOB NOT NULL
);

CREATE TABLE job (
  id TEXT PRIMARY KEY,
  message_id TEXT NOT NULL REFERENCES message (id),
  domain TEXT NOT NULL,
  recipients TEXT NOT NULL,             -- JSON list of those not yet settled
  state TEXT NOT NULL CHECK (state IN ('waiting', 'active', 'held')),
  next_attempt REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  reason TEXT,                          -- why the last attempt did not finish
  last TEXT,                            -- JSON {time, host, reply}
  warned INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0    -- by the operator, while active
) WITHOUT ROWID;

CREATE INDEX job_due ON job (state, next_attempt);
CREATE INDEX job_of_message ON job (message_id);

-- Findings on their way to the ledger and the log.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  finding TEXT NOT NULL                 -- JSON
);

CREATE TABLE spool (uuid TEXT NOT NULL);
INSERT INTO spool VALUES (lower(hex(randomblob(16))));
