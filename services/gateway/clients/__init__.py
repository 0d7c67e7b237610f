"""Other people's systems: the three services behind the gateway."""
