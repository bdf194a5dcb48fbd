CREATE TABLE violation (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the order written
  finding_id TEXT NOT NULL UNIQUE,      -- so that copying twice records once
  time REAL NOT NULL,                   -- seconds since 1970
  domain TEXT NOT NULL,
  mode TEXT,
  record TEXT NOT NULL                  -- the very line of the violation log
);

CREATE INDEX violation_time ON violation (time);
