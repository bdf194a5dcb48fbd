-- How well mail was protected that hosts took: so many messages in a day, by what stood against more.
-- '' as flaws is none, as mode it is not used: "none" is without a policy.
CREATE TABLE traffic (
  mode TEXT NOT NULL,
  domain TEXT NOT NULL,                 -- the policy domain
  day INTEGER NOT NULL,                -- of `first`, since 1970
  level TEXT NOT NULL,                  -- verified, encrypted, clear
  flaws TEXT NOT NULL,                  -- reasons of violations, parted by commas
  messages INTEGER NOT NULL,            -- a message counts for each attempt and host that took it
  recipients INTEGER NOT NULL,
  first REAL NOT NULL,                  -- seconds since 1970
  last REAL NOT NULL,
  PRIMARY KEY (mode, domain, day, level, flaws)
) WITHOUT ROWID;

CREATE INDEX traffic_day ON traffic (day);
