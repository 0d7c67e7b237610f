"""The event doors of conversions."""
