"""The HTTP door of commissions: it reads the ledger, and takes what affiliates and finance decide of payouts."""
