"""The rules of credit: pure, no IO, no clock."""
