"""Backups of one network on one machine: base backups, the log of changes since, its keys; and the way back."""
