"""Rows and plain queries of the conversions database."""
