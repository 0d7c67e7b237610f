"""Tests: unit, the scorecard's own parts."""
