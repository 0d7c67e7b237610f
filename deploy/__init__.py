"""How Tributary is started: one machine (local), compose, Kubernetes."""
