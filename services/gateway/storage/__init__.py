"""The catalogue in PostgreSQL: rows and plain query functions."""
