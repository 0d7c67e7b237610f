"""Gateway: the one public door and the control plane."""
