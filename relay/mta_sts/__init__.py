"""MTA-STS (RFC 8461): find a domain's policy and judge its MX hosts. Knows no SMTP and no queue."""
