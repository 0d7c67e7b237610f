"""IO that every process needs: database, event log, HTTP, settings, logs. No affiliate words."""
