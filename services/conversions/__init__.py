"""Conversions: matches merchants postbacks to clicks, once."""
