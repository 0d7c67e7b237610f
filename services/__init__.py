"""The four services: clicks, conversions, commissions, gateway."""
