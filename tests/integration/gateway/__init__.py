"""The gateway on a real PostgreSQL."""
