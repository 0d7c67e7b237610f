"""The HTTP door: the plain ASGI redirect, and the JSON routes for links and clicks."""
