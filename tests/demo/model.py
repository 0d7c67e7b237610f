"""The oracle: an independent model of the platform that knows nothing but the history.

It replays what was sent, judges each answer, and ends with the conversions that must exist. Where the history
leaves a thing open (an attempt without an answer, a click whose age lies on the window's edge), every outcome that
could have happened is allowed, and the platform's own answer says which one did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.demo.amounts import minor_of
from tests.demo.expected import CREDITED, ExpectedConversion, Key
from tests.demo.history import Attempt, Fact, Operation
from tests.demo.terms import ClickSeen, OfferTerms, read_offer

CLOCK_SLACK_SECONDS = 0.05


Fate = tuple[str, str]
"""A status and the outcome's name that goes with it: ("rejected", "click_too_old")."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the platform may answer. status: of HTTP. names: of the outcome. fates: what may become of a conversion."""

    status: int
    names: frozenset[str]
    fates: frozenset[Fate] = frozenset()


def _taken(fates: frozenset[Fate]) -> Verdict:
    return Verdict(201, frozenset(name for _, name in fates), fates)


def _answered(status: int, *names: str) -> Verdict:
    return Verdict(status, frozenset(names))


class Model:
    """Replays a history. problems: every answer that was wrong, in order."""

    def __init__(self, story: list[Operation | Fact]) -> None:
        self.offers: dict[int, OfferTerms] = {}
        self.clicks: dict[str, ClickSeen] = {}
        self.conversions: dict[Key, ExpectedConversion] = {}
        self.problems: list[str] = []
        self.outcomes: dict[str, int] = {}
        self.click_answers: dict[str, int] = {}
        self.unknown_clicks: dict[int, int] = {}
        self.receipts: dict[int, list[str]] = {}
        self.unknown_postbacks: dict[int, int] = {}
        self._enrolled: set[tuple[int, int]] = set()
        self._pause_asked: dict[int, float] = {}
        self._pause_seen: dict[int, float] = {}
        for entry in story:
            if isinstance(entry, Fact):
                self._learn(entry)
            elif entry.kind.startswith("click"):
                self._click(entry)
            elif entry.kind.startswith("postback"):
                self._postbacks(entry)
            elif entry.kind.startswith("merchant"):
                self._merchant_act(entry)

    def _learn(self, fact: Fact) -> None:
        if fact.kind == "offer":
            offer = read_offer(fact.facts)
            self.offers[offer.offer_id] = offer
        elif fact.kind == "enrolment":
            self._enrolled.add((fact.facts["offer_id"], fact.facts["affiliate_id"]))
        elif fact.kind == "pause_asked":
            self._pause_asked[fact.facts["offer_id"]] = fact.at
        elif fact.kind == "pause_seen":
            self._pause_seen[fact.facts["offer_id"]] = fact.at

    # clicks

    def _click(self, operation: Operation) -> None:
        way, attempt = operation.kind.removeprefix("click_"), operation.attempts[-1]
        facts = operation.facts
        if way == "prefetch":
            self._note_click(way, attempt.status == 503 and attempt.location is None, attempt, operation)
        elif way == "head":
            found = _click_id_of(attempt.location, facts["click_id_parameter"])
            self._note_click(way, attempt.status == 302 and not found, attempt, operation)
        else:
            landing = attempt.location if way != "json" else attempt.json().get("landing_url")
            click_id = _click_id_of(landing, facts["click_id_parameter"])
            right = attempt.status == (302 if way != "json" else 200) and bool(click_id)
            self._note_click(way, right, attempt, operation)
            if right:
                self._remember_click(click_id, attempt, facts)
            elif not attempt.is_answered:
                affiliate_id = facts["affiliate_id"]
                self.unknown_clicks[affiliate_id] = self.unknown_clicks.get(affiliate_id, 0) + 1

    def _note_click(self, way: str, right: bool, attempt: Attempt, operation: Operation) -> None:
        answered = attempt.is_answered or (way == "prefetch" and attempt.status == 503)
        name = f"{operation.facts['agent']}, {way}: " + (str(attempt.status) if answered else "unanswered")
        self.click_answers[name] = self.click_answers.get(name, 0) + 1
        if answered and not right:
            self._problem(operation, f"answered {attempt.status}, Location {attempt.location}")

    def _remember_click(self, click_id: str, attempt: Attempt, facts: Mapping[str, Any]) -> None:
        if click_id in self.clicks:
            self.problems.append(f"click ID given out twice: {click_id}")
        offer_id, ended_at = facts["offer_id"], attempt.ended_at or attempt.started_at
        asked, seen = self._pause_asked.get(offer_id), self._pause_seen.get(offer_id)
        self.clicks[click_id] = ClickSeen(
            click_id=click_id,
            offer_id=offer_id,
            affiliate_id=facts["affiliate_id"],
            sub1=facts["sub1"],
            is_robot=facts["agent"] == "robot",
            is_enrolled=(offer_id, facts["affiliate_id"]) in self._enrolled,
            may_be_inactive=asked is not None and ended_at >= asked,
            must_be_inactive=seen is not None and attempt.started_at >= seen,
            clicked_from=attempt.started_at - CLOCK_SLACK_SECONDS,
            clicked_to=ended_at + CLOCK_SLACK_SECONDS,
        )

    # postbacks

    def _postbacks(self, operation: Operation) -> None:
        answer = operation.answer
        if answer is None:
            self._problem(operation, "never answered")
            return
        batch, merchant_id = operation.facts["postbacks"], operation.facts["merchant_id"]
        unanswered = len(batch) * (len(operation.attempts) - 1)
        self.unknown_postbacks[merchant_id] = self.unknown_postbacks.get(merchant_id, 0) + unanswered
        answers = _answers_of(answer, len(batch))
        if len(answers) != len(batch):
            self._problem(operation, f"{len(batch)} postbacks, {len(answers)} answers (status {answer.status})")
            return
        for fields, (status, content) in zip(batch, answers, strict=True):
            self._judge(operation, _as_understood(fields), status, content)
            if "receipt_id" in content:
                self.receipts.setdefault(merchant_id, []).append(content["receipt_id"])
            elif status != 401:
                self._problem(operation, f"{dict(fields)}: answered {status} without a receipt")

    def _judge(self, operation: Operation, fields: Mapping[str, str], status: int, content: Mapping[str, Any]) -> None:
        verdict, conversion = self._verdict(operation, fields)
        name = _outcome_name(content)
        counted = f"{status} {'duplicate of ' if content.get('duplicate') else ''}{name}"
        self.outcomes[counted] = self.outcomes.get(counted, 0) + 1
        is_repeat = status == 200 and verdict.status == 201 and operation.may_have_happened_before
        if status != verdict.status and not is_repeat:
            self._problem(operation, f"{dict(fields)}: expected {verdict.status}, got {status} {name}")
            return
        if verdict.names and name not in verdict.names and not is_repeat:
            self._problem(operation, f"{dict(fields)}: expected outcome {sorted(verdict.names)}, got {name}")
        if status >= 300 or conversion is None:
            return
        if status == 200 and content.get("duplicate") is not True:
            self._problem(operation, f"{dict(fields)}: 200 without duplicate")
        given = content.get("conversion_id")
        if conversion.conversion_id not in (None, given):
            self._problem(operation, f"another conversion: {given} instead of {conversion.conversion_id}")
        conversion.conversion_id = given
        if verdict.fates:
            self._narrow(operation, conversion, str(content.get("status")))

    def _narrow(self, operation: Operation, conversion: ExpectedConversion, status: str) -> None:
        """The platform's own answer says which of the possible things happened."""
        expected = set(conversion.possible)
        if status == "waiting" and "pending" in expected:
            conversion.was_credited = True
            return
        if status not in expected:
            self._problem(operation, f"{conversion.key}: status {status}, expected {sorted(expected)}")
            return
        conversion.possible = frozenset({status})
        conversion.was_credited = conversion.was_credited or status in CREDITED

    def _verdict(self, operation: Operation, fields: Mapping[str, str]) -> tuple[Verdict, ExpectedConversion | None]:
        facts = operation.facts
        merchant_id, expect = facts["merchant_id"], facts.get("expect")
        if expect == "unauthenticated":
            return _answered(401), None
        if fields.get("test") == "1":
            return _answered(200, "test"), None
        if "adjustment_id" in fields:
            return self._refund_verdict(merchant_id, fields)
        spelling, order_id = fields.get("click_id"), fields.get("order_id")
        click = self.clicks.get(spelling) if spelling else None
        if spelling and click is None:
            return _answered(404, "click_id_malformed", "click_id_forged", "click_id_unknown_key"), None
        if not spelling and not order_id:
            return _answered(422, "malformed"), None
        if click is not None and self.offers[click.offer_id].merchant_id != merchant_id:
            return _answered(403, "foreign_offer"), None
        key = (merchant_id, fields["event"], order_id or f"click:{spelling}")
        known = self.conversions.get(key)
        if known is None:
            return self._new_conversion(operation, key, fields, click)
        if fields in (known.content, *known.later_contents):
            return _answered(200), known
        if known.click is None and click is not None and _without(fields, "click_id") == known.content:
            known.later_contents.append(fields)
            return _taken(self._attribute(operation, known, click)), known
        return _answered(409, "conflict"), None

    def _new_conversion(
        self, operation: Operation, key: Key, fields: Mapping[str, str], click: ClickSeen | None
    ) -> tuple[Verdict, ExpectedConversion]:
        conversion = ExpectedConversion(key, fields, frozenset({"unattributed"}), fields.get("order_id"))
        if "amount" in fields:
            conversion.currency = fields["currency"]
            conversion.order_minor = conversion.net_minor = minor_of(fields["amount"], conversion.currency)
        self.conversions[key] = conversion
        if click is None:
            return _taken(frozenset({("unattributed", "unattributed")})), conversion
        return _taken(self._attribute(operation, conversion, click)), conversion

    def _attribute(self, operation: Operation, conversion: ExpectedConversion, click: ClickSeen) -> frozenset[Fate]:
        conversion.click, conversion.offer = click, self.offers[click.offer_id]
        fates = self._fates(operation, conversion.event, click)
        conversion.possible = frozenset(status for status, _ in fates)
        if "pending" in conversion.possible:
            fates |= {("waiting", "waiting_for_offer_version")}
        return fates

    def _fates(self, operation: Operation, event: str, click: ClickSeen) -> frozenset[Fate]:
        offer = self.offers[click.offer_id]
        if click.must_be_inactive:
            return frozenset({("rejected", "offer_inactive")})
        if not click.is_enrolled:
            return frozenset({("rejected", "not_enrolled")})
        if event not in offer.terms:
            return frozenset({("rejected", "event_not_of_offer")})
        first, last = operation.attempts[0].started_at, operation.attempts[-1].ended_at
        assert last is not None
        youngest, oldest = first - click.clicked_to, last - click.clicked_from
        fates: set[Fate] = {("rejected", "offer_inactive")} if click.may_be_inactive else set()
        if youngest < offer.window_min_seconds:
            fates.add(("rejected", "click_too_recent"))
        if oldest >= offer.window_max_seconds + 1:
            fates.add(("rejected", "click_too_old"))
        if oldest >= offer.window_min_seconds and youngest < offer.window_max_seconds + 1:
            fates.add(("held", "held_robot") if click.is_robot else ("pending", "recorded"))
        return frozenset(fates)

    # refunds and the merchant's own acts

    def _refund_verdict(self, merchant_id: int, fields: Mapping[str, str]) -> tuple[Verdict, ExpectedConversion | None]:
        conversion = self._order(merchant_id, fields["order_id"])
        if conversion is None:
            return _answered(404, "conversion_not_found"), None
        earlier = conversion.adjustments.get(fields["adjustment_id"])
        if earlier is not None:
            same = fields == earlier
            return (_answered(200), conversion) if same else (_answered(409, "adjustment_conflict"), None)
        if not self._take_back(conversion, fields.get("amount")):
            return _answered(422, "adjustment_exceeds"), None
        conversion.adjustments[fields["adjustment_id"]] = fields
        name = "fully_refunded" if conversion.possible == {"reversed"} else "adjustment_recorded"
        return _answered(201, name), conversion

    def _order(self, merchant_id: int, order_id: str) -> ExpectedConversion | None:
        found = [c for c in self.conversions.values() if c.key[0] == merchant_id and c.order_id == order_id]
        return found[0] if len(found) == 1 else None

    def _take_back(self, conversion: ExpectedConversion, amount: str | None) -> bool:
        left, currency = conversion.net_minor or 0, conversion.currency
        taken = left if amount is None or currency is None else minor_of(amount, currency)
        if taken > left:
            return False
        if currency is not None:
            conversion.net_minor = left - taken
        if taken == left:
            conversion.possible = frozenset({"reversed"})
        return True

    def _merchant_act(self, operation: Operation) -> None:
        act, answer = operation.kind.removeprefix("merchant_"), operation.answer
        facts = operation.facts
        conversion = self._order(facts["merchant_id"], facts["order_id"])
        happened_unseen = operation.may_have_happened_before and answer is not None and answer.status == 409
        if answer is None or not (answer.status in (200, 201) or happened_unseen) or conversion is None:
            self._problem(operation, f"{act}: {answer.status if answer else 'never answered'}")
        elif act == "approve":
            conversion.possible = frozenset({"approved"})
        elif act == "adjust":
            self._take_back(conversion, facts["amount"])
        else:
            conversion.possible = frozenset({"reversed" if act == "reverse" else "rejected"})
            if act == "reverse" and conversion.net_minor is not None:
                conversion.net_minor = 0

    def _problem(self, operation: Operation, what: str) -> None:
        self.problems.append(f"operation {operation.number} ({operation.kind}): {what}")


def _answers_of(answer: Attempt, count: int) -> list[tuple[int, Mapping[str, Any]]]:
    content = answer.json()
    status = answer.status or 0
    if "results" in content:
        return [(result["http_status"], result) for result in content["results"]]
    return [(status, content)] * count


def _click_id_of(location: str | None, parameter: str) -> str:
    return dict(parse_qsl(urlsplit(location or "").query)).get(parameter, "")


def _without(fields: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in fields.items() if key != name}


def _as_understood(fields: Mapping[str, str]) -> dict[str, str]:
    """What a postback says, whatever its spelling: case of a click ID, an event left out."""
    understood = dict(fields)
    if "click_id" in understood:
        understood["click_id"] = understood["click_id"].lower()
    if "adjustment_id" not in understood:
        understood.setdefault("event", "sale")
    return understood


def _outcome_name(content: Mapping[str, Any]) -> str:
    outcome = content.get("outcome")
    if isinstance(outcome, Mapping):
        return str(outcome.get("name"))
    return str(content.get("code") or "without outcome")
