-- Which domains changed last, so that other processes forget just these from their memory
CREATE TABLE change (
  number INTEGER PRIMARY KEY,
  domain TEXT NOT NULL
);

CREATE TRIGGER policy_added AFTER INSERT ON policy BEGIN
  INSERT INTO change (domain) VALUES (new.domain);
  DELETE FROM change WHERE number <= (SELECT max(number) FROM change) - 5000;
END;

CREATE TRIGGER policy_changed AFTER UPDATE OF record_id, policy, fetched_at, failure ON policy BEGIN
  INSERT INTO change (domain) VALUES (new.domain);
  DELETE FROM change WHERE number <= (SELECT max(number) FROM change) - 5000;
END;

CREATE TRIGGER policy_removed AFTER DELETE ON policy BEGIN
  INSERT INTO change (domain) VALUES (old.domain);
  DELETE FROM change WHERE number <= (SELECT max(number) FROM change) - 5000;
END;
