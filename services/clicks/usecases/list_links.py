"""Ready links: one for each active offer an affiliate is enrolled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from services.clicks.domain.catalogue import Catalogue, OfferPlan
from services.clicks.domain.web_address import AddressRefused, WebAddress


@dataclass(frozen=True, slots=True)
class LinkWishes:
    """What an affiliate wants in its links. parameters: by name, in the order they are written. offer_id: only that."""

    parameters: Mapping[str, str]
    deep_link: str | None = None
    offer_id: int | None = None
    after_offer_id: int = 0


@dataclass(frozen=True, slots=True)
class ReadyLink:
    """A link as it is to be published, and what it leads to."""

    plan: OfferPlan
    url: str


def list_links(
    catalogue: Catalogue, affiliate_id: int, wishes: LinkWishes, *, link_base: str, at: datetime
) -> list[ReadyLink]:
    """Links by offer id. With a deep link: only offers that allow its host.

    Raises AddressRefused naming `url` when the deep link is unusable, or none of the offers allows its host.
    """
    plans = catalogue.links_of(affiliate_id, at, after_offer_id=wishes.after_offer_id)
    if wishes.offer_id is not None:
        plans = [plan for plan in plans if plan.offer.offer_id == wishes.offer_id]
    if wishes.deep_link is None:
        return [ReadyLink(plan, _link(link_base, plan, affiliate_id, wishes.parameters)) for plan in plans]
    links: list[ReadyLink] = []
    refusal: AddressRefused | None = None
    for plan in plans:
        try:
            address: WebAddress = plan.version.allowed_hosts.read_deep_link(wishes.deep_link)
        except AddressRefused as refused:
            refusal = refused
            continue
        parameters = {**wishes.parameters, "url": str(address)}
        links.append(ReadyLink(plan, _link(link_base, plan, affiliate_id, parameters)))
    if not links and refusal is not None:
        raise refusal
    return links


def _link(link_base: str, plan: OfferPlan, affiliate_id: int, parameters: Mapping[str, str]) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    return f"{link_base}/c/{plan.offer.offer_id}/{affiliate_id}" + (f"?{query}" if query else "")
