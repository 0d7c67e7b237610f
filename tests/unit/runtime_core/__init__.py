"""The runtime's pure parts: clocks, settings, failpoints, health."""
