"""Tests of the rules of credit."""
