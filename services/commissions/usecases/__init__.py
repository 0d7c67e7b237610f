"""One file a verb; each receives a session and never commits."""
