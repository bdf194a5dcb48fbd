"""Taking mail in: hooks, limits and listeners around aiosmtpd. Knows no DNS and no delivery."""
