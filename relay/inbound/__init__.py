"""Taking mail in: sessions, bounds and listeners, hooks for aiosmtpd. Knows no DNS, no delivery."""
