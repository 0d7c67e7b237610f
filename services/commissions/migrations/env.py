"""Alembic's way in."""

from shared.runtime.migrations import run_environment

run_environment()
