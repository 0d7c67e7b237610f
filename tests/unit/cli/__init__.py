"""The operator's command without a network: output, exit codes, JSON."""
