"""The event door: the catalogue in, our own clicks back into the click log."""
