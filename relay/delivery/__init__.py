"""Handing mail over: route, judgement, TLS, one SMTP dialogue a host. Knows no queue."""
