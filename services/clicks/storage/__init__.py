"""The clicks service's PostgreSQL: the click log."""
