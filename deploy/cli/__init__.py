"""The operator's command `tributary`: thin over what the platform already does. Exit 0 ok, 1 a problem, 2 no look."""
