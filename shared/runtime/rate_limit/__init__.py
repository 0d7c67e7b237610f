"""Exact rate limits over several processes: tokens leased from one PostgreSQL row per caller (ADR-0008)."""
