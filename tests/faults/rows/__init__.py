"""The scorecard's rows, one module each; the runner imports whatever is here."""
