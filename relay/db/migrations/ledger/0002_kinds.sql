-- What repeats has a row of its own with its count, so that nothing is counted for the usual view, and
-- lines stand apart, so that looking for some of them does not read through all. '' is null here.
ALTER TABLE violation RENAME TO former;

CREATE TABLE kind (
  id INTEGER PRIMARY KEY,
  domain TEXT NOT NULL,
  mode TEXT NOT NULL,
  mx TEXT NOT NULL,
  reason TEXT NOT NULL,
  action TEXT NOT NULL,
  count INTEGER NOT NULL DEFAULT 0,     -- of violations
  first REAL NOT NULL DEFAULT 0,        -- the earliest time of them
  last REAL NOT NULL DEFAULT 0,         -- the latest
  UNIQUE (domain, mode, mx, reason, action)
);

CREATE TABLE violation (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the order written
  finding_id TEXT NOT NULL UNIQUE,      -- so that copying twice records once
  record_id TEXT NOT NULL,              -- for people
  time REAL NOT NULL,                   -- seconds since 1970
  kind INTEGER NOT NULL                 -- of kind.id
);

CREATE TABLE line (
  id INTEGER PRIMARY KEY,               -- of violation.id
  record TEXT NOT NULL                  -- the very line of the violation log
);

CREATE TEMP TABLE former_kind AS
  SELECT
    id AS number,
    time,
    domain,
    coalesce(mode, '') AS mode,
    coalesce(CASE WHEN json_valid(record) THEN json_extract(record, '$.mx') END, '') AS mx,
    coalesce(CASE WHEN json_valid(record) THEN json_extract(record, '$.reason') END, '') AS reason,
    coalesce(CASE WHEN json_valid(record) THEN json_extract(record, '$.action') END, '') AS action
  FROM former;

INSERT INTO kind (domain, mode, mx, reason, action, count, first, last)
  SELECT domain, mode, mx, reason, action, count(*), min(time), max(time)
  FROM former_kind
  GROUP BY domain, mode, mx, reason, action;

INSERT INTO violation (id, finding_id, record_id, time, kind)
  SELECT number, finding_id, lower(hex(randomblob(6))), former.time, kind.id
  FROM former_kind
  JOIN kind USING (domain, mode, mx, reason, action)
  JOIN former ON former.id = number;

INSERT INTO line (id, record) SELECT id, record FROM former;

DROP TABLE former_kind;

DROP TABLE former;

CREATE INDEX violation_time ON violation (time);

CREATE INDEX violation_kind ON violation (kind, time);

CREATE INDEX violation_record ON violation (record_id);
