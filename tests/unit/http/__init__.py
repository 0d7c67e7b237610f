"""The HTTP half of the runtime: hostile bodies, problems, principals, the edge guard and the proxy."""
