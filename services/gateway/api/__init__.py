"""The HTTP door: the public dispatch in front, and the control plane's own routes behind it."""
