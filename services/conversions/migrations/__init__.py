"""The history of the conversions database."""
