"""TCP ports on this machine: finding free ones, and saying plainly when a wanted one is taken."""

import random
import socket

# below the range that Linux hands to outgoing connections (32768 up), where a client could take it from us
QUIET_PORTS = range(20_000, 32_000)


def is_free(host: str, port: int) -> bool:
    """Can we listen on `host`:`port` now?"""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on, chosen at random. Another program may still take it before the caller does."""
    for port in random.sample(QUIET_PORTS, k=len(QUIET_PORTS)):
        if is_free(host, port):
            return port
    raise OSError("no free TCP port")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
