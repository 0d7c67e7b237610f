"""The three services behind the gateway, as addresses and one pool of connections."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.types import Receive, Scope, Send

from shared.runtime.http_client import RawProxy

STRIPPED: Final = frozenset({"authorization", "x-api-key"})
"""The caller's API key ends at the gateway."""


@dataclass(frozen=True, slots=True)
class Upstreams:
    """urls: base URL by service."""

    proxy: RawProxy
    urls: Mapping[str, str]

    @classmethod
    def at(cls, *, clicks: str, conversions: str, commissions: str) -> "Upstreams":
        """The services at their base URLs."""
        urls = {"clicks": clicks, "conversions": conversions, "commissions": commissions}
        return cls(RawProxy(), MappingProxyType(urls))

    async def forward(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        service: str,
        headers: Mapping[str, str],
        deadline_seconds: float,
        body_max_bytes: int,
        keeps_authorization: bool = False,
    ) -> int:
        """Pass one request on; gives the status sent. keeps_authorization: see Route."""
        return await self.proxy.forward(
            scope,
            receive,
            send,
            upstream_url=self.urls[service],
            extra_headers=headers,
            strip_headers=STRIPPED - {"authorization"} if keeps_authorization else STRIPPED,
            timeout_seconds=deadline_seconds,
            body_limit_bytes=body_max_bytes,
        )
