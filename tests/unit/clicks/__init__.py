"""Clicks: rules and the redirect in one process, without engines."""
