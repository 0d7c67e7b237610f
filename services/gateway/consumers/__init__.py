"""The event door: what merchants' balances say of their offers."""
