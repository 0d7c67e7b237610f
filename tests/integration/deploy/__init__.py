"""The local engines for real: start, kill, stop, start again."""
