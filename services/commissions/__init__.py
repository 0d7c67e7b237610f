"""Commissions: credits affiliates in a double-entry ledger."""
