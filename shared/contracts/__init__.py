"""Topics and events, the only thing services know of one another."""
