"""The HTTP doors of conversions."""
