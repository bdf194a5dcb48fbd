-- The policy deflated or as text (policy_row.py), a time of upkeep, and history
ALTER TABLE policy RENAME TO policy_1;

CREATE TABLE policy (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL UNIQUE,
  record_id TEXT,                       -- of the policy below
  policy BLOB,                          -- printed, an empty line, as served; NULL where none was had
  first_seen REAL NOT NULL,             -- this version; seconds since 1970, as all times
  fetched_at REAL NOT NULL,             -- the last time
  seen_by TEXT NOT NULL,                -- the look-up that saw this version first
  due_at INTEGER NOT NULL,              -- when it is to be refreshed, or removed
  failure TEXT                          -- JSON of FetchFailure
);

INSERT INTO policy (domain, record_id, policy, first_seen, fetched_at, seen_by, due_at, failure)
SELECT domain, record_id,
       'version: STSv1' || char(10) || 'mode: ' || json_extract(policy, '$.mode') || char(10)
       || (SELECT coalesce(group_concat('mx: ' || value || char(10), ''), '')
           FROM json_each(policy, '$.mx'))
       || 'max_age: ' || json_extract(policy, '$.max_age') || char(10) || char(10) || text,
       fetched_at, fetched_at, 'delivery', CAST(fetched_at AS INTEGER) + 43200,
       json_set(failure, '$.count', 1, '$.since', json_extract(failure, '$.at'))
FROM policy_1 ORDER BY domain;

DROP TABLE policy_1;

CREATE INDEX policy_due ON policy (due_at);

CREATE TABLE past (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  record_id TEXT,
  policy BLOB NOT NULL,
  first_seen REAL NOT NULL,
  last_seen REAL NOT NULL,              -- when it was last fetched
  seen_by TEXT NOT NULL,
  ended REAL NOT NULL                   -- when another was seen, or it was removed
);

CREATE INDEX past_domain ON past (domain);
CREATE INDEX past_ended ON past (ended);
