-- What the sender asks to be told (RFC 3461): JSON {ret, envid, recipients}, NULL where nothing.
ALTER TABLE job ADD COLUMN dsn TEXT;
