"""The audit chain on a real PostgreSQL."""
