CREATE TABLE policy (
  domain TEXT PRIMARY KEY,
  record_id TEXT,                       -- of the policy below; NULL where none was ever had
  text TEXT NOT NULL,                   -- the policy as served
  policy TEXT,                          -- JSON {version, mode, mx, max_age}
  fetched_at REAL NOT NULL,             -- seconds since 1970
  failure TEXT                          -- JSON {code, message, record_id, at, next_try}
) WITHOUT ROWID;
