"""The rules of conversions: pure, no IO, no clock."""
