"""A mail relay that delivers only where the recipient's domain says it is safe (RFC 8461)."""

__version__ = "0.1.0"
