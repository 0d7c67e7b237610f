"""Pure building blocks: money, ids, click IDs, time, errors."""
