"""What conversions does, one verb a file; each runs inside the caller's transaction."""
