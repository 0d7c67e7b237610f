"""What the control plane can do, one verb a file; each runs in the caller's transaction."""
