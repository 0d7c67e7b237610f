"""The typed Python client: written out of the OpenAPI document by `make client`, needing httpx alone."""
