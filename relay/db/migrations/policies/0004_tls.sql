-- The best TLS level at which mail for a domain without a policy was taken.
CREATE TABLE tls_level (
  domain TEXT PRIMARY KEY,
  level INTEGER NOT NULL,               -- 1 encrypted, 2 verified
  since REAL NOT NULL,                  -- when it was first reached; seconds since 1970
  seen REAL NOT NULL                    -- and last, to the day
) WITHOUT ROWID;
CREATE INDEX tls_level_seen ON tls_level (seen);

-- Which of them changed last, so that other processes read just these anew.
CREATE TABLE tls_change (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL
);

CREATE TRIGGER tls_added AFTER INSERT ON tls_level BEGIN
  INSERT INTO tls_change (domain) VALUES (new.domain);
  DELETE FROM tls_change WHERE number <= (SELECT max(number) FROM tls_change) - 5000;
END;

CREATE TRIGGER tls_changed AFTER UPDATE ON tls_level BEGIN
  INSERT INTO tls_change (domain) VALUES (new.domain);
  DELETE FROM tls_change WHERE number <= (SELECT max(number) FROM tls_change) - 5000;
END;

CREATE TRIGGER tls_removed AFTER DELETE ON tls_level BEGIN
  INSERT INTO tls_change (domain) VALUES (old.domain);
  DELETE FROM tls_change WHERE number <= (SELECT max(number) FROM tls_change) - 5000;
END;
