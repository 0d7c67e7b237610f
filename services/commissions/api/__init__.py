"""The HTTP door of commissions: it reads, and changes nothing."""
