"""What neither route table nor code says of an operation: its name for programs, and the refusals of its own rules.

A new route needs a line here and an example (`deploy/interface/examples/{name}.json`); a test names the ones without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.gateway.domain.routes import OWNERS

_POSTBACK_REFUSALS: Final = (
    "adjustment_conflict adjustment_exceeds click_id_forged click_id_malformed click_id_unknown_key conflict "
    "conversion_not_found event_ambiguous foreign_offer unavailable validation_failed"
)
_PROOF_REFUSALS: Final = (
    "address_not_allowed credential_unknown signature_invalid signature_missing timestamp_outside rate_limited"
)
_OFFER_STEP: Final = "offer_not_found offer_transition_refused"
_ENROLMENT_STEP: Final = "enrolment_not_found enrolment_transition_refused"
_RUN_STEP: Final = "payout_run_not_found payout_transition_refused payout_run_empty"
_CONVERSION_STEP: Final = "conversion_not_found transition_refused"


@dataclass(frozen=True, slots=True)
class Operation:
    """name: the operationId, verb and noun. refusals: codes of its own. is_idempotent: takes Idempotency-Key.

    shows_secret: its answer is not kept, so that a repeat is refused rather than answered again.
    """

    name: str
    refusals: tuple[str, ...] = ()
    is_idempotent: bool = False
    shows_secret: bool = False


def _read(name: str, refusals: str = "") -> Operation:
    return Operation(name, tuple(refusals.split()))


def _write(name: str, refusals: str = "") -> Operation:
    return Operation(name, tuple(refusals.split()), is_idempotent=True)


def _secret(name: str, refusals: str = "") -> Operation:
    codes = ("idempotent_response_unavailable", *refusals.split())
    return Operation(name, codes, is_idempotent=True, shows_secret=True)


_CREDENTIALS: Final = "/v1/merchants/{merchant_id}/postback-credentials"

OPERATIONS: Final[Mapping[str, Operation]] = {
    "GET /c/{offer_id}/{affiliate_id}": _read("follow_link", "link_not_found unavailable"),
    "HEAD /c/{offer_id}/{affiliate_id}": _read("preview_link", "link_not_found unavailable"),
    "GET /postback": _read("send_postback", f"{_POSTBACK_REFUSALS} {_PROOF_REFUSALS}"),
    "POST /postback": _read("send_postback_body", f"{_POSTBACK_REFUSALS} {_PROOF_REFUSALS}"),
    "GET /": _read("get_front_page"),
    "GET /docs": _read("read_interface_page"),
    "GET /docs/events": _read("read_events_page"),
    "GET /openapi.json": _read("get_openapi_document"),
    "GET /asyncapi.json": _read("get_asyncapi_document"),
    "GET /healthz": _read("get_health"),
    "GET /readyz": _read("get_readiness"),
    "GET /metrics": _read("get_metrics", "route_not_found"),
    "GET /v1/me": _read("get_caller"),
    "POST /v1/merchants": _write("create_merchant"),
    "GET /v1/merchants": _read("list_merchants"),
    "GET /v1/merchants/{merchant_id}": _read("get_merchant", "merchant_not_found"),
    "POST /v1/affiliates": _write("create_affiliate"),
    "GET /v1/affiliates": _read("list_affiliates"),
    "GET /v1/affiliates/{affiliate_id}": _read("get_affiliate", "affiliate_not_found"),
    **{
        f"POST /v1/{party}s/{{{party}_id}}/{verb}": _write(f"{verb}_{party}", f"{party}_not_found")
        for party in ("merchant", "affiliate")
        for verb in ("suspend", "reinstate")
    },
    "PUT /v1/affiliates/{affiliate_id}/groups/{group}": _write(
        "add_affiliate_to_group", "affiliate_not_found affiliate_groups_exhausted"
    ),
    "DELETE /v1/affiliates/{affiliate_id}/groups/{group}": _write(
        "remove_affiliate_from_group", "affiliate_not_found affiliate_group_not_found"
    ),
    **{f"GET /v1/audit/{owner}": _read(f"list_{owner}_audit") for owner in OWNERS},
    "POST /v1/offers": _write("create_offer"),
    "GET /v1/offers": _read("list_offers"),
    "GET /v1/offers/{offer_id}": _read("get_offer", "offer_not_found"),
    "POST /v1/offers/{offer_id}/versions": _write(
        "publish_offer_version", "offer_not_found offer_ended offer_versions_exhausted cap_redefined"
    ),
    "GET /v1/offers/{offer_id}/versions": _read("list_offer_versions", "offer_not_found"),
    "GET /v1/offers/{offer_id}/versions/{version}": _read("get_offer_version", "offer_version_not_found"),
    "POST /v1/offers/{offer_id}/pause": _write("pause_offer", _OFFER_STEP),
    "POST /v1/offers/{offer_id}/resume": _write("resume_offer", _OFFER_STEP),
    "POST /v1/offers/{offer_id}/end": _write("end_offer", "offer_not_found"),
    "POST /v1/offers/{offer_id}/applications": _write(
        "apply_for_offer",
        f"offer_not_found offer_not_active already_enrolled {_ENROLMENT_STEP}",
    ),
    "POST /v1/enrolments": _write("enrol_affiliate", "enrolment_transition_refused enrolment_intervals_exhausted"),
    "GET /v1/enrolments": _read("list_enrolments"),
    "GET /v1/enrolments/{enrolment_id}": _read("get_enrolment", "enrolment_not_found"),
    "POST /v1/enrolments/{enrolment_id}/approve": _write(
        "approve_enrolment", f"{_ENROLMENT_STEP} enrolment_intervals_exhausted"
    ),
    "POST /v1/enrolments/{enrolment_id}/reject": _write("reject_enrolment", _ENROLMENT_STEP),
    "POST /v1/enrolments/{enrolment_id}/end": _write("end_enrolment", _ENROLMENT_STEP),
    "POST /v1/keys": _secret("issue_key", "key_id_taken"),
    "GET /v1/keys": _read("list_keys"),
    "GET /v1/keys/{key_id}": _read("get_key", "key_not_found"),
    "POST /v1/keys/{key_id}/rotate": _secret("rotate_key", "key_not_found key_not_current key_id_taken"),
    "DELETE /v1/keys/{key_id}": _write("revoke_key", "key_not_found"),
    "GET /v1/links": _read("list_links"),
    "GET /v1/clicks": _read("list_clicks", "party_not_found"),
    f"POST {_CREDENTIALS}": _secret("create_postback_credential", "merchant_not_found"),
    f"GET {_CREDENTIALS}": _read("list_postback_credentials", "merchant_not_found"),
    f"POST {_CREDENTIALS}/{{credential_id}}/rotate": _secret(
        "rotate_postback_credential", "merchant_not_found credential_not_found"
    ),
    f"DELETE {_CREDENTIALS}/{{credential_id}}": _write(
        "revoke_postback_credential", "merchant_not_found credential_not_found"
    ),
    "GET /v1/receipts": _read("list_receipts", "party_not_found"),
    "GET /v1/receipts/{receipt_id}": _read("get_receipt", "receipt_not_found"),
    "POST /v1/conversions": _read("report_conversions", _POSTBACK_REFUSALS),
    "GET /v1/conversions": _read("list_conversions", "party_not_found"),
    "GET /v1/conversions/{ref}": _read("get_conversion", "conversion_not_found"),
    "GET /v1/conversions/{ref}/trail": _read("get_conversion_trail", "conversion_not_found"),
    "POST /v1/conversions/{ref}/approve": _write("approve_conversion", _CONVERSION_STEP),
    "POST /v1/conversions/{ref}/reject": _write("reject_conversion", _CONVERSION_STEP),
    "POST /v1/conversions/{ref}/reverse": _write("reverse_conversion", _CONVERSION_STEP),
    "POST /v1/conversions/{ref}/adjust": _write("adjust_conversion", f"{_CONVERSION_STEP} adjustment_conflict"),
    "POST /v1/conversions/{ref}/release": _write("release_conversion", _CONVERSION_STEP),
    "POST /v1/conversions/bulk": _write("create_bulk_job", "party_not_found bulk_jobs_open"),
    "GET /v1/bulk-jobs/{job_id}": _read("get_bulk_job", "bulk_job_not_found"),
    "GET /v1/bulk-jobs/{job_id}/results": _read("list_bulk_results", "bulk_job_not_found"),
    "POST /v1/erasures": _write("request_erasure"),
    "GET /v1/erasures": _read("list_erasures"),
    "GET /v1/erasures/{erasure_id}": _read("get_erasure", "erasure_not_found"),
    "GET /v1/commissions": _read("list_commissions", "party_not_found"),
    "GET /v1/commissions/{commission_id}": _read("get_commission", "commission_not_found"),
    "GET /v1/commissions/{commission_id}/trail": _read("get_commission_trail", "commission_not_found"),
    "POST /v1/pricing/dry-run": _read("dry_run_price", "offer_version_not_found"),
    "POST /v1/commissions/release": _write("release_commissions"),
    "POST /v1/commissions/{commission_id}/release": _write(
        "release_commission", "commission_not_found commission_still_held nothing_withheld"
    ),
    "GET /v1/offers/{offer_id}/caps": _read("list_cap_usages", "offer_not_found"),
    "POST /v1/exchange-rates": _write("record_exchange_rates", "exchange_rate_differs"),
    "POST /v1/affiliates/{affiliate_id}/exchanges": _write(
        "exchange_payable", "affiliate_not_found exchange_exceeds_payable exchange_rate_needed"
    ),
    "POST /v1/fx-revaluations": _write("revalue_positions", "period_open revaluation_done exchange_rate_needed"),
    "GET /v1/exchange-rates": _read("get_exchange_rate", "exchange_rate_missing"),
    "POST /v1/bonus-goals": _write("set_bonus_goal", "offer_not_found goals_exhausted"),
    "GET /v1/bonus-goals": _read("list_bonus_goals"),
    "POST /v1/bonus-goals/{goal_id}/end": _write("end_bonus_goal", "goal_not_found"),
    "POST /v1/bonuses": _write("grant_bonus", "affiliate_not_found merchant_not_found"),
    "POST /v1/merchant-payments": _write("record_merchant_payment", "merchant_not_found payment_known"),
    "POST /v1/merchant-payments/{payment_id}/take-back": _write(
        "take_back_merchant_payment", "payment_not_found payment_taken_back"
    ),
    "GET /v1/merchant-payments": _read("list_merchant_payments", "party_not_found"),
    "GET /v1/prefunding": _read("get_prefunding", "party_not_found"),
    "PUT /v1/prefunding": _write("set_prefunding", "party_not_found merchant_not_found"),
    "GET /v1/balance": _read("get_balance", "party_not_found"),
    "GET /v1/statements": _read("get_statement", "party_not_found block_not_found statement_too_long"),
    "GET /v1/payout-settings": _read("get_payout_settings", "party_not_found"),
    "PUT /v1/payout-settings": _write("set_payout_settings", "party_not_found affiliate_not_found"),
    "POST /v1/payout-settings/{affiliate_id}/confirm": _write("confirm_payout_settings", "payout_settings_not_found"),
    "GET /v1/payouts": _read("list_payouts", "party_not_found"),
    "POST /v1/payout-runs": _write("draft_payout_run", "block_not_found payer_missing"),
    "GET /v1/payout-runs": _read("list_payout_runs"),
    "GET /v1/payout-runs/{payout_run_id}": _read("get_payout_run", "payout_run_not_found"),
    "GET /v1/payout-runs/{payout_run_id}/lines": _read("list_payout_lines", "payout_run_not_found"),
    "POST /v1/payout-runs/{payout_run_id}/approve": _write("approve_payout_run", f"{_RUN_STEP} self_approval"),
    "POST /v1/payout-runs/{payout_run_id}/export": _write("export_payout_run", _RUN_STEP),
    "POST /v1/payout-runs/{payout_run_id}/cancel": _write(
        "cancel_payout_run", "payout_run_not_found payout_transition_refused"
    ),
    "GET /v1/payout-runs/{payout_run_id}/file": _read(
        "get_payout_file",
        "payout_run_not_found payout_not_exported payout_format_of_another_method payout_file_changed",
    ),
    "POST /v1/payout-runs/{payout_run_id}/settlements": _write(
        "settle_payout_run", "payout_run_not_found payout_not_exported settlement_refused"
    ),
    "GET /v1/payout-stops": _read("list_payout_stops"),
    "POST /v1/payout-stops": _write("stop_payouts", "affiliate_not_found"),
    "POST /v1/payout-stops/{affiliate_id}/lift": _write("lift_payout_stop", "payout_stop_not_found"),
    "GET /v1/statements/{statement_id}": _read("get_numbered_statement", "statement_not_found statement_too_long"),
    "POST /v1/statements/{statement_id}/void": _write(
        "void_statement", "statement_not_found statement_transition_refused"
    ),
    "GET /v1/affiliates/{affiliate_id}/tax-settings": _read("list_affiliate_tax_settings", "party_not_found"),
    "PUT /v1/affiliates/{affiliate_id}/tax-settings": _write("set_affiliate_tax_settings", "party_not_found"),
    "GET /v1/merchants/{merchant_id}/tax-settings": _read("list_merchant_tax_settings", "party_not_found"),
    "PUT /v1/merchants/{merchant_id}/tax-settings": _write("set_merchant_tax_settings", "party_not_found"),
    "GET /v1/ledger": _read("list_ledger_transactions"),
    "GET /v1/ledger/blocks": _read("list_ledger_blocks"),
    "GET /v1/trial-balance": _read("get_trial_balance", "block_not_found"),
}

PARAMETER_TEXTS: Final[Mapping[str, str]] = {
    "account": "Only transactions with an entry on this account, such as `affiliate_payable:7`",
    "aff_click_id": "The affiliate's own click ID, written into every link",
    "action": "What was done or denied, such as `offer.pause`",
    "affiliate_id": "The affiliate; an affiliate's own key may leave it out of a query",
    "as_of": "A day, such as `2026-11-24`; today without it",
    "authenticated": "false: the last hundred postbacks that could not prove to be the merchant's",
    "payment_id": "The merchant's payment",
    "goal_id": "The goal",
    "base": "The currency that one unit is of, ISO 4217",
    "block": "The number of a block: the ledger as it stood there",
    "cap": "The name of a cap",
    "commission_id": "The commission",
    "country": "ISO 3166, of the account",
    "creative": "Which banner or text carries the link",
    "credential_id": "The credential",
    "currency": "ISO 4217, upper case",
    "enrolment_id": "The enrolment",
    "erasure_id": "The request to erase",
    "event": "Tells the conversions of one order apart: `sale`, `lead`, `install` …",
    "format": "`json`, `csv`, `xlsx` or `pdf`; otherwise `Accept` decides",
    "from": "From this instant on",
    "group": "The group's name: 1 to 32 of a-z 0-9 _ -",
    "job_id": "The bulk job",
    "key_id": "The eight characters in the middle of a key's spelling",
    "merchant_id": "The merchant; a merchant's own key may leave it out of a query",
    "object_id": "What it was done to",
    "object_type": "Of what kind that is",
    "offer_id": "The offer",
    "order_id": "The merchant's own order id, exactly",
    "outcome": "Only those that ended so: a receipt's number, `done` or `denied` in the audit log, or a bulk row's",
    "period": "A UTC month, such as `2026-11`; of caps also a day, or `total`",
    "quote": "The currency that its worth is told in, ISO 4217",
    "receipt_id": "The receipt",
    "payout_run_id": "The run",
    "ref": "A conversion's id, or `order:` and the order id (not one with a slash: find its id by `?order_id=`)",
    "request_id": "The X-Request-Id of the answer",
    "role": "Only what keys of this role did",
    "source": "Where the link stands",
    "state": "Only those in this state",
    "statement_id": "The statement's number, such as `SB-000042`",
    "status": "Only those in this state",
    "to": "Before this instant",
    "url": "Deep link on one of the offer's allowed hosts",
    "version": "The number of the version, from 1",
    **{f"sub{number}": "The affiliate's own mark" for number in range(1, 11)},
}
"""For parameters whose code says nothing."""

TAGS: Final[Mapping[str, str]] = {
    "links": "Referral links: ready ones, and the redirect behind them.",
    "clicks": "What came of the links.",
    "postbacks": "How merchants report orders, leads, installs and refunds.",
    "merchants": "How a merchant proves its postbacks.",
    "receipts": "Every postback and what became of it.",
    "conversions": "Orders matched to clicks, and what happens to them.",
    "commissions": "What an affiliate is credited, and why.",
    "pricing": "What a conversion would be worth, and why.",
    "balance": "What stands for a party now.",
    "statements": "A party's month, the same bytes for ever.",
    "exchange rates": "What one currency is worth in another, with source and day.",
    "payouts": "How affiliates are paid, and when.",
    "merchant payments": "What merchants paid, and what they may still spend.",
    "ledger": "The double-entry ledger and its chain.",
    "parties": "Merchants and affiliates of the network.",
    "offers": "What is advertised, in numbered versions.",
    "enrolments": "Who may promote what, and since when.",
    "keys": "API keys, and whom one speaks for.",
    "front page": "Where to begin.",
    "privacy": "What is forgotten when somebody asks.",
    "audit": "Who did what, in a chain that shows any change.",
    "operations": "For those who run it.",
}
