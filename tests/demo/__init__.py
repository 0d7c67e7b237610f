"""`make demo`: real-looking traffic over the public port, checked to the cent against an independent model."""
