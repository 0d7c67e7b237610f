"""HTTP verbs for the people of the stories: an admin, a merchant, an affiliate, finance, a shopper."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
TIMEOUT_SECONDS: Final = 30.0
PATIENCE: Final = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. body: JSON where it is JSON, else None."""

    status: int
    headers: httpx.Headers
    text: str

    @property
    def body(self) -> Any:
        """The body as JSON, None for anything else."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        return str(self.headers.get("location", ""))


class Client:
    """One caller of the public port; `key` is its API key, "" for none."""

    def __init__(self, public_url: str, key: str = "") -> None:
        self.public_url = public_url
        self.key = key

    def get(self, path: str, **query: str | int) -> Answer:
        """GET, with the key."""
        return self.send("GET", path + (f"?{urlencode(query)}" if query else ""))

    def post(self, path: str, content: object = None) -> Answer:
        """POST JSON, with the key."""
        body = None if content is None else json.dumps(content).encode()
        return self.send("POST", path, body, {"Content-Type": "application/json"} if body else {})

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request; path and query go out as they are. Whoever is told to slow down does, and asks again."""
        own = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        for _ in range(PATIENCE):
            response = self._request(method, self.public_url + path, body, {**own, **(headers or {})})
            if response.status_code != 429:
                break
            time.sleep(float(response.headers["Retry-After"]))
        return Answer(response.status_code, response.headers, response.text)

    def _request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> httpx.Response:
        # Plain HTTP on loopback: reading the machine's certificates would take longer than the request.
        with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False, verify=False) as client:
            return client.request(method, url, content=body, headers=headers)


class Shopper(Client):
    """Someone with a browser."""

    def click(self, link: str, **query: str) -> Answer:
        """Follow a referral link, without following it on."""
        path = link.removeprefix(self.public_url)
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query)
        return self.send("GET", path, headers={"User-Agent": BROWSER})


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant with its API key and what it signs postbacks with."""

    merchant_id: int
    api: Client
    secret: str
    token: str

    def postback(self, **fields: str) -> Answer:
        """A signed postback, as a shop's server sends it."""
        return self.api.send("GET", self.signed_path(fields))

    def signed_path(self, fields: Mapping[str, str], at_seconds: int | None = None) -> str:
        """Path and query of a signed postback: the signature comes last."""
        at = int(time.time()) if at_seconds is None else at_seconds
        query = urlencode({"merchant_id": str(self.merchant_id), **fields, "ts": str(at)})
        return f"/postback?{query}&sig={self._sign(query.encode())}"

    def post_body(self, body: bytes, content_type: str = "application/json") -> Answer:
        """A signed postback with a body, sent as it is."""
        at = str(int(time.time()))
        signature = f"t={at},v1={self._sign(at.encode() + b'.' + body)}"
        headers = {"Tributary-Signature": signature, "Content-Type": content_type}
        return self.api.send("POST", f"/postback?merchant_id={self.merchant_id}", body, headers)

    def _sign(self, message: bytes) -> str:
        return hmac.new(self.secret.encode(), message, hashlib.sha256).hexdigest()


def click_id_in(location: str, parameter: str = "click_id") -> str:
    """The click ID a landing page's address carries, "" for none."""
    return dict(parse_qsl(urlsplit(location).query)).get(parameter, "")
