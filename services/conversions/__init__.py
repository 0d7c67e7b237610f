"""conversions: takes merchants' postbacks, matches each one to a click, once, and follows it until it is settled."""
