-- Mail that a policy or our own least TLS keeps back, by domain: what a change there may let go.
CREATE INDEX job_kept_back ON job (domain, next_attempt)
WHERE state = 'waiting' AND reason IN ('policy', 'tls-floor');
