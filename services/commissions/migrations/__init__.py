"""Schema history of the commissions database."""
