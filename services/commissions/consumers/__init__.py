"""The event doors of commissions."""
