"""Our PostgreSQL: rows and plain query functions."""
