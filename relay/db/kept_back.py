"""Statements on a spool's mail that a policy or our own least TLS keeps back; each takes the
connection of an open transaction."""

import sqlite3

# The very words of the index, or it is not used
_KEPT_BACK = "state = 'waiting' AND reason IN ('policy', 'tls-floor')"
# From one domain to the next in the index: what it costs grows with the domains, not with the jobs
_DOMAINS = f"""
  WITH RECURSIVE found (domain) AS (
    SELECT min(domain) FROM job WHERE {_KEPT_BACK} AND domain > :after
    UNION ALL
    SELECT (SELECT min(domain) FROM job WHERE {_KEPT_BACK} AND domain > found.domain)
    FROM found WHERE found.domain IS NOT NULL
  )
  SELECT domain FROM found WHERE domain IS NOT NULL LIMIT :limit"""  # noqa: S608 - our own words
_ANY = f"SELECT 1 FROM job WHERE {_KEPT_BACK} AND domain = ? LIMIT 1"  # noqa: S608
_HASTEN = f"""
  UPDATE job SET next_attempt = :now WHERE (message_id, number) IN (
    SELECT message_id, number FROM job
    WHERE {_KEPT_BACK} AND domain = :domain AND next_attempt > :now LIMIT :limit)"""  # noqa: S608


def domains(after: str, limit: int, db: sqlite3.Connection) -> list[str]:
    """Recipient domains of such mail behind that one, in order."""
    rows = db.execute(_DOMAINS, {"after": after, "limit": limit}).fetchall()
    return [domain for (domain,) in rows]


def is_any(domain: str, db: sqlite3.Connection) -> bool:
    """Whether there is such mail for a recipient domain."""
    return db.execute(_ANY, (domain,)).fetchone() is not None


def hasten(domain: str, now: float, limit: int, db: sqlite3.Connection) -> int:
    """Let such mail be due now; how much of it was not."""
    return db.execute(_HASTEN, {"domain": domain, "now": now, "limit": limit}).rowcount
