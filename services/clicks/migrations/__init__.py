"""Schema history of the clicks database."""
