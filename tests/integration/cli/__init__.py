"""The operator's command on a real PostgreSQL."""
