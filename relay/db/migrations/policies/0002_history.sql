-- Columns in place of JSON, the text deflated (TEXT where it is not), a time of upkeep, and history
ALTER TABLE policy RENAME TO policy_1;

CREATE TABLE policy (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL UNIQUE,
  record_id TEXT,                       -- of the policy below; NULL where none was ever had
  mode TEXT,                            -- NULL where no policy was ever had
  mx TEXT,                              -- patterns, a blank between
  max_age INTEGER,                      -- seconds
  text BLOB NOT NULL,                   -- the policy as served: TEXT, or deflated (policy_row.py)
  first_seen REAL NOT NULL,             -- this version; seconds since 1970, as all times
  fetched_at REAL NOT NULL,             -- the last time
  seen_by TEXT NOT NULL,                -- the look-up that saw this version first
  due_at INTEGER NOT NULL,              -- when it is to be refreshed, or removed
  failure TEXT                          -- JSON of FetchFailure
);

INSERT INTO policy (domain, record_id, mode, mx, max_age, text, first_seen, fetched_at, seen_by,
                    due_at, failure)
SELECT domain, record_id, json_extract(policy, '$.mode'),
       (SELECT coalesce(group_concat(value, ' '), '') FROM json_each(policy, '$.mx')),
       json_extract(policy, '$.max_age'), text, fetched_at, fetched_at, 'delivery',
       CAST(fetched_at AS INTEGER) + 43200,
       json_set(failure, '$.count', 1, '$.since', json_extract(failure, '$.at'))
FROM policy_1 ORDER BY domain;

DROP TABLE policy_1;

CREATE INDEX policy_due ON policy (due_at);

CREATE TABLE past (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  record_id TEXT,
  mode TEXT,
  mx TEXT,
  max_age INTEGER,
  text BLOB NOT NULL,
  first_seen REAL NOT NULL,
  last_seen REAL NOT NULL,              -- when it was last fetched
  seen_by TEXT NOT NULL,
  ended REAL NOT NULL                   -- when another was seen, or it was removed
);

CREATE INDEX past_domain ON past (domain);
CREATE INDEX past_ended ON past (ended);
