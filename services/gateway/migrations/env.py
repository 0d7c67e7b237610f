"""Alembic's entry: runs the revisions on the connection that `shared.runtime.migrations` opened."""

from shared.runtime.migrations import run_environment

run_environment()
