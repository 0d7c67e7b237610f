"""The rules of the catalogue, of API keys and of the door: pure."""
