-- What alerts have told and have to tell, by domain and reason; nothing told for an hour has no row.
CREATE TABLE alert (
  domain TEXT NOT NULL,
  reason TEXT NOT NULL,
  untold INTEGER NOT NULL,              -- violations since the last alert
  newest INTEGER NOT NULL,              -- the newest violation's number
  first REAL NOT NULL,                  -- the time of the first untold one; seconds since 1970
  last REAL NOT NULL,                   -- and of the last
  due REAL NOT NULL,                    -- no alert before then
  PRIMARY KEY (domain, reason)
) WITHOUT ROWID;

-- The last violation that alerts have been made of; no row before they were ever asked for.
CREATE TABLE alert_place (
  number INTEGER NOT NULL
);
