"""What makes the caps of a version acceptable, and what may change of one from version to version."""

from collections.abc import Iterable, Sequence
from typing import Final

from services.gateway.domain.money_fields import check_count, check_range, read_money
from services.gateway.domain.refusals import CatalogueConflict
from services.gateway.domain.term_drafts import CapDraft
from services.gateway.domain.term_rules import COUNT_MAX, GROUP_NAME, GROUP_NAME_MESSAGE, term_currency
from services.gateway.domain.terms import Cap, Term
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money

CAPS_MAX: Final = 20


def read_caps(drafts: Sequence[CapDraft], terms: Sequence[Term], *, pays_in: str | None) -> tuple[Cap, ...]:
    """The caps of a version with these terms. Raises InvalidValue naming the first field that breaks a rule."""
    check_count("caps", len(drafts), 0, CAPS_MAX, of="caps")
    names, caps = set[str](), list[Cap]()
    for index, draft in enumerate(drafts):
        path = f"caps.{index}"
        if not GROUP_NAME.fullmatch(draft.name):
            raise InvalidValue(f"{path}.name", "cap_name_malformed", GROUP_NAME_MESSAGE)
        if draft.name in names:
            raise InvalidValue(f"{path}.name", "name_repeated", "is another cap's name")
        names.add(draft.name)
        caps.append(_read_cap(draft, path, terms, pays_in))
    return tuple(caps)


def _read_cap(draft: CapDraft, path: str, terms: Sequence[Term], pays_in: str | None) -> Cap:
    if (draft.amount is None) == (draft.count is None):
        raise InvalidValue(path, "cap_measures_one", "limits either amount or count, and not both")
    covered = [term for term in terms if draft.event in (None, term.event)]
    if not covered:
        raise InvalidValue(f"{path}.event", "event_unknown", "has no term in this version")
    if draft.count is not None:
        check_range(f"{path}.count", draft.count, 1, COUNT_MAX)
    amount = None if draft.amount is None else _read_amount(draft.amount, f"{path}.amount", covered, pays_in)
    return Cap(
        name=draft.name,
        scope=draft.scope,
        period=draft.period,
        amount=amount,
        count=draft.count,
        event=draft.event,
    )


def _read_amount(text: tuple[str, str], path: str, covered: Sequence[Term], pays_in: str | None) -> Money:
    currencies = {term_currency(term, pays_in) for term in covered}
    if None in currencies:
        message = "limits terms that pay in the order's currency, whichever that is: set pays_in"
        raise InvalidValue(f"{path}.currency", "currency_missing", message)
    if len(currencies) > 1:
        raise InvalidValue(f"{path}.currency", "currency_mismatch", "limits terms of several currencies: name an event")
    amount = read_money(text, path, currency=currencies.pop())
    if amount.amount_minor == 0:
        raise InvalidValue(f"{path}.amount", "cap_empty", "must be more than zero")
    return amount


def check_caps_stay(caps: Iterable[Cap], earlier: Iterable[Cap]) -> None:
    """Raises CatalogueConflict where a cap is no longer what earlier versions of the offer called so.

    What is credited under an old version and under the new one fills the same cap: how much it allows may change,
    what it counts may not.
    """
    known = {cap.name: _counted(cap) for cap in earlier}
    for cap in caps:
        if known.get(cap.name, _counted(cap)) != _counted(cap):
            message = f"an earlier version has a cap {cap.name} of another scope, period, event or measure"
            raise CatalogueConflict("cap_redefined", message)


def _counted(cap: Cap) -> tuple[str, str, str | None, str | None]:
    return cap.scope, cap.period, cap.event, None if cap.amount is None else cap.amount.currency
