"""The demo network of a first start, made over the public API alone, as any operator would make it."""

import http.client
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.local.problem import PlainProblem
from deploy.local.role_environment import NetworkPlan
from deploy.local.roles import SecretFile

REQUEST_SECONDS: Final = 10.0
GIVE_UP_AFTER_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 0.2
LANDING_HOST: Final = "https://shop.example"
MONTH_SECONDS: Final = 30 * 86_400


Terms = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SeededNetwork:
    """What the user needs to try it: a key per role (first merchant, first affiliate), and how to prove a postback.

    public_url: of the start that wrote it last. lead_offer_id … short_offer_id: the other three offers.
    """

    public_url: str
    admin_key: str
    finance_key: str
    merchant_id: int
    merchant_key: str
    postback_secret: str
    postback_token: str
    affiliate_id: int
    affiliate_key: str
    sale_offer_id: int
    lead_offer_id: int
    install_offer_id: int
    short_offer_id: int


def ensure_seeded(plan: NetworkPlan, *, demo_file: Path, say: Callable[[str], None]) -> SeededNetwork:
    """Seed at the first start and note the result in `demo_file` (0600); later only note the public URL of this start.

    A seeding that was cut off goes on where it stopped: every request carries an idempotency key. Secrets are shown
    once, so those that a cut-off seeding made and did not note are made anew.
    """
    if demo_file.exists():
        noted = json.loads(demo_file.read_text()) | {"public_url": plan.public_url}
        seeded = SeededNetwork(**noted)
    else:
        say("first start: making the demo network (2 merchants, 3 affiliates, 4 offers)")
        admin_key = plan.secrets[SecretFile.BOOTSTRAP_ADMIN_KEY].read_text().strip()
        seeded = _seed(AdminApi(plan.local_url, admin_key), plan.public_url, admin_key)
    _note(demo_file, seeded)
    return seeded


class AdminApi:
    """The admin's side of the public API, patient with a platform that is still coming up."""

    def __init__(self, public_url: str, admin_key: str) -> None:
        self._address = urlsplit(public_url)
        self._admin_key = admin_key

    def create(self, path: str, content: Mapping[str, Any], *, once: str) -> dict[str, Any]:
        """POST and the JSON answer. once: the same text never creates a second thing.

        Raises: PlainProblem when the platform refuses, or does not answer within GIVE_UP_AFTER_SECONDS.
        """
        deadline = time.monotonic() + GIVE_UP_AFTER_SECONDS
        while True:
            status, body = self._post(path, content, once=once)
            if status in (200, 201):
                answer: dict[str, Any] = json.loads(body)
                return answer
            is_passing = status is None or status in (409, 429) or status >= 500
            if not is_passing or time.monotonic() > deadline:
                raise PlainProblem(f"The demo network could not be made: POST {path} answered {status}.", body.decode())
            time.sleep(RETRY_SECONDS)

    def _post(self, path: str, content: Mapping[str, Any], *, once: str) -> tuple[int | None, bytes]:
        secure = self._address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._address.hostname or "", self._address.port, timeout=REQUEST_SECONDS)
        headers = {
            "Authorization": f"Bearer {self._admin_key}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"demo-network-{once}",
        }
        try:
            connection.request("POST", f"{self._address.path}{path}", json.dumps(content), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}".encode()
        finally:
            connection.close()


def _seed(api: AdminApi, public_url: str, admin_key: str) -> SeededNetwork:
    merchants = [_create_named(api, "merchants", name) for name in ("Alder Outdoor", "Brook Software")]
    affiliates = [_create_named(api, "affiliates", name) for name in ("Trail Notes", "Deal Harbour", "App Digest")]
    outdoor, software = merchants
    sale = _create_offer(api, outdoor, "Alder Outdoor: 10 % of every sale", _percentage("10", "2"))
    lead = _create_offer(api, outdoor, "Alder Outdoor: newsletter lead", _flat("lead", "5.00", "1.00", "EUR"))
    install = _create_offer(api, software, "Brook Software: app install", _flat("install", "1.50", "0.30", "USD"))
    short = _create_offer(api, software, "Brook Software: flash sale, 1 to 5 seconds", _percentage("20", "4"), (1, 5))
    for offer_id in (sale, lead, install, short):
        for affiliate_id in affiliates:
            ids = {"offer_id": offer_id, "affiliate_id": affiliate_id}
            api.create("/v1/enrolments", ids, once=f"enrolment-{offer_id}-{affiliate_id}")
    credentials = f"/v1/merchants/{outdoor}/postback-credentials"
    return SeededNetwork(
        public_url=public_url,
        admin_key=admin_key,
        finance_key=_create_key(api, "finance"),
        merchant_id=outdoor,
        merchant_key=_create_key(api, "merchant", merchant_id=outdoor),
        postback_secret=str(api.create(credentials, {"kind": "hmac"}, once=_anew("hmac"))["secret"]),
        postback_token=str(api.create(credentials, {"kind": "token"}, once=_anew("token"))["secret"]),
        affiliate_id=affiliates[0],
        affiliate_key=_create_key(api, "affiliate", affiliate_id=affiliates[0]),
        sale_offer_id=sale,
        lead_offer_id=lead,
        install_offer_id=install,
        short_offer_id=short,
    )


def _create_named(api: AdminApi, kind: str, name: str) -> int:
    return int(api.create(f"/v1/{kind}", {"name": name}, once=f"{kind}-{name.replace(' ', '-').lower()}")["id"])


def _create_key(api: AdminApi, role: str, **tenant: int) -> str:
    content = {"role": role, "label": f"demo {role}", **tenant}
    return str(api.create("/v1/keys", content, once=_anew(f"key-{role}"))["key"])


def _anew(once: str) -> str:
    """The same text while one request is retried, another in the next seeding."""
    return f"{once}-{secrets.token_hex(8)}"


def _create_offer(
    api: AdminApi, merchant_id: int, name: str, terms: Terms, window: tuple[int, int] = (0, MONTH_SECONDS)
) -> int:
    content = {
        "merchant_id": merchant_id,
        "name": name,
        "landing_template": f"{LANDING_HOST}/welcome?from={{affiliate_id}}",
        "allowed_hosts": ["shop.example"],
        "window": {"min_seconds": window[0], "max_seconds": window[1]},
        "late_hours": 24,
        "validation_days": 14,
        "terms": terms,
    }
    event = terms[0]["event"]
    return int(api.create("/v1/offers", content, once=f"offer-{merchant_id}-{event}-{window[1]}")["id"])


def _percentage(rate: str, margin: str) -> list[dict[str, Any]]:
    return [{"event": "sale", "kind": "percentage", "rate_percent": rate, "margin_percent": margin}]


def _flat(event: str, amount: str, margin: str, currency: str) -> list[dict[str, Any]]:
    pay = {"amount": {"amount": amount, "currency": currency}, "margin": {"amount": margin, "currency": currency}}
    return [{"event": event, "kind": "flat", **pay}]


def _note(demo_file: Path, seeded: SeededNetwork) -> None:
    """Replace the file in one step; it holds secrets, so it is 0600 from its first byte."""
    scratch = demo_file.with_name(f".{demo_file.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(seeded), file, indent=2)
    scratch.replace(demo_file)
