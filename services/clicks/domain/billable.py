"""Which clicks an offer pays for: one of a shopper in 24 hours, told by the clicks' own times."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

APART: Final = timedelta(hours=24)
"""Of a shopper's clicks on an offer no two that are paid for are nearer."""

HOUR: Final = timedelta(hours=1)
SETTLES_AFTER: Final = timedelta(minutes=15)
"""After an hour's end: what is on its way then comes in a later part."""


@dataclass(frozen=True, slots=True)
class BillableClick:
    """One unflagged click on an offer version that may pay for clicks. shopper: told apart by; None once erased."""

    click_id: bytes
    clicked_at: datetime
    offer_version: int
    affiliate_id: int
    merchant_id: int
    shopper: str | None


def shopper_of(*, visitor_key: str | None, ip_hash: str | None, user_agent: str | None) -> str | None:
    """Who clicked: the visitor, else network and user agent together; None where nothing may be known (consent)."""
    if visitor_key is not None:
        return f"v:{visitor_key}"
    if ip_hash is None:
        return None
    return "n:" + hashlib.sha256(f"{ip_hash}\n{user_agent or ''}".encode("utf-8", "replace")).hexdigest()[:32]


def hour_of(instant: datetime) -> datetime:
    """The first instant of its UTC hour."""
    return instant.replace(minute=0, second=0, microsecond=0)


def settled_before(now: datetime) -> datetime:
    """The first instant that is not in an hour which may be settled at `now`."""
    return hour_of(now - SETTLES_AFTER)


def valid_clicks(clicks: Iterable[BillableClick], paid: Mapping[str, Sequence[datetime]]) -> set[bytes]:
    """The ids of those that are paid for, judged in the order of their times.

    paid: when each shopper's clicks that are paid for already were, 24 hours either way. A click of a shopper that
    nothing is known of is never paid for: it might be anybody's second one.
    """
    times = {shopper: list(known) for shopper, known in paid.items()}
    valid = set()
    for click in sorted(clicks, key=lambda click: (click.clicked_at, click.click_id)):
        if click.shopper is None:
            continue
        known = times.setdefault(click.shopper, [])
        if all(abs(click.clicked_at - at) >= APART for at in known):
            known.append(click.clicked_at)
            valid.add(click.click_id)
    return valid
