"""Tests of commissions on a real PostgreSQL."""
