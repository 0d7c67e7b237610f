"""Alembic history of the gateway's database."""
