-- How earlier attempts ended: a JSON list of {time, reason, host, reply}, the last 20.
ALTER TABLE job ADD COLUMN history TEXT;

-- By the operator, while active: held when its attempt ends.
ALTER TABLE job ADD COLUMN on_hold INTEGER NOT NULL DEFAULT 0;

DROP INDEX job_dropped;
CREATE INDEX job_revoked ON job (message_id) WHERE dropped OR on_hold;

-- Due jobs are found by domain, so that a crowd for one never stands before the others.
DROP INDEX job_due;
CREATE INDEX job_turn ON job (domain, next_attempt) WHERE state = 'waiting';

-- A domain with waiting jobs; no job of it is due before `next_due`, perhaps none so early.
CREATE TABLE turn (
  domain TEXT PRIMARY KEY,
  next_due REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX turn_due ON turn (next_due);

INSERT INTO turn SELECT domain, min(next_attempt) FROM job WHERE state = 'waiting' GROUP BY domain;

-- Whoever lets a job wait, commands and salvage too. Most jobs never wait: they are born active.
CREATE TRIGGER job_waits_new AFTER INSERT ON job WHEN NEW.state = 'waiting' BEGIN
  INSERT INTO turn VALUES (NEW.domain, NEW.next_attempt)
  ON CONFLICT (domain) DO UPDATE SET next_due = min(next_due, excluded.next_due);
END;
CREATE TRIGGER job_waits_again AFTER UPDATE OF state, next_attempt ON job
WHEN NEW.state = 'waiting' BEGIN
  INSERT INTO turn VALUES (NEW.domain, NEW.next_attempt)
  ON CONFLICT (domain) DO UPDATE SET next_due = min(next_due, excluded.next_due);
END;
