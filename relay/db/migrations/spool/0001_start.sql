-- The content of a message lives as long as one of its jobs does.
CREATE TABLE message (
  id TEXT PRIMARY KEY,                  -- the queue id told to the client
  content BLOB NOT NULL
);

-- A job repeats what its message's envelope says: then no look at one job touches contents.
CREATE TABLE job (
  message_id TEXT NOT NULL REFERENCES message (id),
  number INTEGER NOT NULL,              -- within the message; the job's id is message_id.number
  domain TEXT NOT NULL,
  sender TEXT,                          -- NULL is the null path
  recipients TEXT NOT NULL,             -- JSON list of those not yet settled
  smtputf8 INTEGER NOT NULL,
  eight_bit INTEGER NOT NULL,
  requiretls INTEGER NOT NULL,
  created REAL NOT NULL,                -- seconds since 1970
  size INTEGER NOT NULL,                -- octets of the content
  state TEXT NOT NULL CHECK (state IN ('waiting', 'active', 'held')),
  next_attempt REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  reason TEXT,                          -- why the last attempt did not finish
  last TEXT,                            -- JSON {time, host, reply}
  warned INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0,   -- by the operator, while active
  PRIMARY KEY (message_id, number)
) WITHOUT ROWID;

-- Most jobs are born active and settled at once: they never enter these.
CREATE INDEX job_due ON job (next_attempt, domain) WHERE state = 'waiting';
CREATE INDEX job_dropped ON job (dropped) WHERE dropped;

-- Findings on their way to the ledger and the log.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, so that it names the finding for ever
  finding TEXT NOT NULL                 -- JSON
);

CREATE TABLE spool (
  uuid TEXT NOT NULL,
  findings_lost INTEGER NOT NULL DEFAULT 0   -- for which the outbox had no room
);
INSERT INTO spool (uuid) VALUES (lower(hex(randomblob(16))));
