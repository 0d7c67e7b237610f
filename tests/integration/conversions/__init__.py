"""conversions on a real PostgreSQL."""
