"""Where a click is made durable before its redirect leaves: the event log, or the outbox."""
