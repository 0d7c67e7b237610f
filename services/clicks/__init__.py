"""Clicks: redirects shoppers and issues signed click IDs."""
