"""Kubernetes and compose manifests against the command table, without a cluster."""
