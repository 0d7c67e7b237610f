"""A month of a network on a clock of its own: run, reverse, pay, reverse again, state, verify (`make month`)."""
