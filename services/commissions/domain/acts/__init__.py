"""Postings that no conversion caused: one file a kind, from an act's frozen inputs to ledger transactions."""
