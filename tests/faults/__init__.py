"""Tests: the scorecard of faults. `make scorecard` runs it; README.md beside this file says how to add a row."""
