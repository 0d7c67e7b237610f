"""The class of every column and of every event's field; docs/privacy.md says why those that matter are kept.

shopper: says something of a shopper. pseudonym: stands for a shopper, a customer or a click, and for nobody without
our key or the click's record. label: text of an affiliate or a merchant, screened at the door. copy: a whole event or
answer. business: of a party of the network. secret: sealed, hashed, or a hash of something secret. none: everything
else, which is time, money, ids of parties, states and counts.
"""

from collections.abc import Mapping
from typing import Final

CLASSES: Final = ("shopper", "pseudonym", "label", "copy", "business", "secret", "none")
EXPLAINED: Final = ("shopper", "pseudonym", "label", "copy")
"""Classes whose every column has its line in docs/privacy.md."""

Classes = Mapping[str, str]
"""Names, separated by blanks, by class."""

RUNTIME_TABLES: Final[Mapping[str, Classes]] = {
    "alembic_version": {"none": "version_num"},
    "audit_entry": {
        "secret": "before_hash after_hash previous_hash hash",
        "none": "number occurred_at role key_id merchant_id affiliate_id action object_type object_id request_id"
        " outcome code occurrences",
    },
    "audit_head": {"secret": "hash", "none": "only_row number"},
    "dead_letter": {
        "copy": "payload",
        "none": "id consumer topic partition offset key reason failed_at replay_requested_at replayed_at",
    },
    "limit_bucket": {
        "pseudonym": "caller",
        "none": "policy tokens refilled_at forget_at holders held held_until",
    },
    "limit_holder": {"none": "holder seen_at"},
    "outbox": {
        "copy": "payload",
        "none": "id topic key event_id created_at published_at partition offset parked_reason",
    },
    "outbox_head": {"none": "topic partition next_offset"},
    "position": {"none": "consumer topic partition next_offset log_id"},
    "projection_entry": {"business": "payload", "none": "key event_type changed_offset"},
}

TABLES: Final[Mapping[str, Mapping[str, Classes]]] = {
    "gateway": {
        "affiliate": {"business": "name", "none": "affiliate_id status created_at referred_by"},
        "affiliate_group": {"none": "affiliate_id group_name number start_at end_at"},
        "api_key": {
            "business": "label",
            "secret": "secret_sha256",
            "none": "key_id role merchant_id affiliate_id replaces_key_id created_at expires_at revoked_at",
        },
        "enrolment": {"none": "enrolment_id offer_id affiliate_id merchant_id status applied_at decided_at"},
        "enrolment_interval": {"none": "enrolment_id number merchant_id affiliate_id start_at end_at"},
        "idempotency_record": {
            "copy": "body",
            "secret": "request_sha256",
            "none": "scope idempotency_key merchant_id affiliate_id status created_at",
        },
        "merchant_funding": {"none": "merchant_id currency is_unfunded version"},
        "funding_pause": {"none": "offer_id paused_at"},
        "merchant": {"business": "name", "none": "merchant_id status created_at"},
        "offer": {
            "business": "name fallback_url",
            "none": "offer_id merchant_id status current_version created_at changed_at",
        },
        "offer_version": {
            "business": "landing_template allowed_hosts click_id_parameter referrer_policy terms",
            "none": "offer_id version merchant_id window_min_seconds window_max_seconds late_hours validation_days"
            " hold_days created_at caps pays_in",
        },
    },
    "clicks": {
        "billable_bundle": {
            "none": "offer_id offer_version affiliate_id merchant_id hour_at part quantity settled_at",
        },
        "billable_click": {
            "pseudonym": "click_id shopper",
            "none": "clicked_at offer_id offer_version affiliate_id merchant_id logged_at is_valid",
        },
        "click": {
            "shopper": "user_agent referrer_host ad_click_ids deep_link consent",
            "pseudonym": "click_id ip_hash visitor_key",
            "label": "subs aff_click_id source creative",
            "none": "clicked_at offer_id offer_version affiliate_id merchant_id flags recorded_at",
        },
        "erased_click": {"pseudonym": "click_id", "none": "erased_at"},
    },
    "conversions": {
        "accepted_content": {
            "secret": "content_hash",
            "none": "conversion_id merchant_id receipt_id outcome status",
        },
        "adjustment": {
            "label": "order_key adjustment_id",
            "secret": "content_hash",
            "none": "merchant_id conversion_id amount_minor currency receipt_id outcome status recorded_at",
        },
        "bulk_job": {
            "secret": "content_hash",
            "none": "id merchant_id role key_id row_count requested_at worked_at next_row done already refused"
            " finished_at",
        },
        "bulk_row": {
            "label": "ref adjustment_id",
            "none": "job_id number merchant_id event action reason_code new_amount_minor refund_amount_minor currency"
            " outcome code field conversion_id status",
        },
        "click_detail": {
            "pseudonym": "click_id",
            "label": "subs aff_click_id source creative",
            "none": "merchant_id affiliate_id recorded_at",
        },
        "conversion": {
            "pseudonym": "click_id customer_id",
            "label": "dedupe_key order_id coupon customer_status items facts merchant_subs subs aff_click_id source"
            " creative",
            "secret": "content_hash clickless_hash",
            "none": "id merchant_id event version status outcome first_received_at first_receipt_id first_outcome"
            " first_status changed_at is_batch clicked_at click_flags offer_id offer_version affiliate_id attributed_by"
            " currency order_amount_minor net_amount_minor ordered_at approve_at reason_code has_details"
            " customer_first_at",
        },
        "conversion_version": {
            "label": "adjustment_id",
            "none": "conversion_id version merchant_id affiliate_id at change status outcome actor_kind actor_key"
            " reason_code currency net_amount_minor steps",
        },
        "credential_change": {"none": "only_row count"},
        "customer_ownership": {
            "pseudonym": "customer_id",
            "none": "conversion_id merchant_id offer_id offer_version affiliate_id first_at",
        },
        "erased_click": {"pseudonym": "click_id", "none": "erasure_id erased_at clicks_done_at"},
        "erased_customer": {"pseudonym": "customer_id", "none": "merchant_id erased_at"},
        "erasure": {
            "pseudonym": "reference_hash",
            "none": "id kind merchant_id requested_by requested_at executed_at",
        },
        "idempotency_key": {
            "copy": "answer",
            "secret": "request_hash",
            "none": "owner key merchant_id http_status created_at",
        },
        "postback_credential": {
            "business": "name cidrs",
            "secret": "sealed_secret token_hash",
            "none": "id merchant_id kind created_at valid_until replaces_id revoked_at",
        },
        "receipt": {
            "pseudonym": "click_id",
            "label": "order_id adjustment_id",
            "none": "id merchant_id received_at transport credential_id request_id http_status outcome conversion_id"
            " status duplicate repeats_receipt_id event errors",
        },
        "unauthenticated_count": {"none": "merchant_id count"},
        "unauthenticated_postback": {"none": "id merchant_id received_at transport outcome request_id"},
    },
    "commissions": {
        "applied_conversion": {"none": "conversion_id last_version status"},
        "block": {"none": "number posting_id booked_at previous_hash entries_hash hash xid"},
        "cap_usage": {"none": "key offer_id merchant_id affiliate_id period currency name reserved released"},
        "commission": {
            "pseudonym": "click_id",
            "label": "order_id subs aff_click_id",
            "none": "commission_id conversion_id affiliate_id merchant_id offer_id offer_version conversion_event"
            " status term net_minor net_currency currency commission_minor margin_minor payable_at accrual_id"
            " recorded_at changed_at grants target_commission_minor target_margin_minor",
        },
        "commission_step": {
            "copy": "payload",
            "none": "conversion_id version commission_id merchant_id affiliate_id event_id change status reason_code"
            " net_before_minor net_after_minor commission_before_minor commission_after_minor margin_before_minor"
            " margin_after_minor currency transaction_ids occurred_at decisions n actor",
        },
        "exchange_rate": {
            "none": "number base quote rate source as_of import_id imported_at actor reason_code",
        },
        "merchant_payment": {
            "business": "reference",
            "none": "payment_id merchant_id currency amount_minor received_on reverses reason_code recorded_at actor",
        },
        "prefunding": {
            "none": "merchant_id currency low_balance_minor pauses_at_zero state available_minor block_number version"
            " changed_at",
        },
        "bonus_goal": {
            "none": "goal_id offer_id merchant_id affiliate_id conversions revenue_minor amount_minor currency paid_by"
            " reason_code first_period last_period recorded_at actor"
        },
        "month_end": {"none": "period settled_at"},
        "finance_act": {"none": "act_id kind inputs actor occurred_at reason_code transaction_ids"},
        "idempotency_key": {
            "copy": "answer",
            "secret": "request_hash",
            "none": "owner key merchant_id affiliate_id http_status created_at",
        },
        "ledger_entry": {
            "none": "transaction_id n account merchant_id affiliate_id currency amount_minor payable_at xid"
        },
        "ledger_transaction": {
            "none": "transaction_id posting_id kind commission_id conversion_id conversion_version offer_id"
            " offer_version reverses occurred_at reason_code xid",
        },
        "parked_event": {
            "copy": "payload",
            "none": "conversion_id version reason offer_id offer_version parked_at",
        },
        "payout_answer": {"secret": "sha256", "none": "run_id counts received_at"},
        "payout_file": {"secret": "sha256", "none": "run_id format size_bytes"},
        "payout_line": {
            "none": "run_id affiliate_id line_id currency method state reason_code drafted_minor amount_minor"
            " settings_version up_to exported_at answered_on bank_reference",
        },
        "payout_part": {"none": "run_id affiliate_id commission_id amount_minor"},
        "payout_run": {
            "business": "payer",
            "none": "run_id currency method up_to block_number state drafted_at drafted_by approved_at approved_by"
            " exported_at exported_by",
        },
        "payout_settings": {
            "business": "masked",
            "secret": "sealed_details",
            "none": "affiliate_id version settings_id currency threshold_minor frequency weekday net_days method"
            " country details_changed_at held_until changed_at",
        },
        "payout_stop": {"none": "affiliate_id reason_code stopped_at"},
        "period_close": {"none": "period block_number closed_at"},
        "statement": {
            "business": "particulars",
            "none": "number series n merchant_id affiliate_id period currency block_number replaces opening_minor"
            " closing_minor net_minor vat_minor finalised_at",
        },
        "statement_file": {"none": "number form merchant_id affiliate_id sha256 bytes"},
        "statement_sweep": {"none": "period finished_at"},
        "statement_void": {"none": "number replaced_by merchant_id affiliate_id reason_code actor voided_at"},
        "tax_settings": {
            "business": "settings",
            "none": "id merchant_id affiliate_id valid_from actor recorded_at",
        },
    },
}

EVENT: Final = "event_id occurred_at schema_version"
EVENTS: Final[Mapping[str, Classes]] = {
    "merchant_changed": {"business": "name", "none": f"{EVENT} merchant_id status"},
    "affiliate_changed": {"business": "name", "none": f"{EVENT} affiliate_id status groups referred_by"},
    "offer_changed": {
        "business": "name fallback_url",
        "none": f"{EVENT} offer_id merchant_id status current_version",
    },
    "offer_version_published": {
        "business": "landing_template allowed_hosts click_id_parameter referrer_policy terms",
        "none": f"{EVENT} offer_id version merchant_id window_min_seconds window_max_seconds late_hours validation_days"
        " hold_days caps pays_in",
    },
    "enrolment_changed": {"none": f"{EVENT} offer_id affiliate_id merchant_id intervals"},
    "click_recorded": {
        "shopper": "user_agent referrer_host ad_click_ids deep_link consent",
        "pseudonym": "click_id ip_hash visitor_key",
        "label": "subs aff_click_id source creative",
        "none": f"{EVENT} offer_id offer_version affiliate_id merchant_id flags",
    },
    "billable_clicks_settled": {
        "none": f"{EVENT} offer_id offer_version affiliate_id merchant_id hour_at part quantity",
    },
    "conversion_changed": {
        "pseudonym": "click_id",
        "label": "order_id adjustment_id subs aff_click_id source creative coupon items customer_status",
        "none": f"{EVENT} conversion_id version change status merchant_id conversion_event first_received_at offer_id"
        " offer_version affiliate_id clicked_at attributed_by order_amount net_amount ordered_at outcome_code"
        " reason_code country tax shipping discount customer_first_at quantity",
    },
    "commission_posted": {
        "pseudonym": "click_id",
        "label": "order_id subs aff_click_id",
        "none": f"{EVENT} transaction_id kind commission_id conversion_id conversion_version affiliate_id merchant_id"
        " offer_id offer_version status term commission_before commission_after margin_before margin_after booked_at"
        " block_number net_before net_after payable_at reason_code decisions release_number",
    },
    "prefunding_changed": {"none": f"{EVENT} merchant_id currency state pauses_offers available block_number version"},
    "finance_act_posted": {
        "none": f"{EVENT} act_id kind inputs actor transaction_ids booked_at block_number reason_code"
    },
    "statement_finalised": {
        "none": f"{EVENT} number period currency block_number block_hash merchant_id affiliate_id replaces",
    },
    "statement_voided": {"none": f"{EVENT} number replaced_by reason_code merchant_id affiliate_id"},
    "erasure_requested": {"pseudonym": "click_id", "none": f"{EVENT} erasure_id"},
    "click_erased": {"pseudonym": "click_id", "none": f"{EVENT} erasure_id"},
}


def class_of(classes: Classes) -> dict[str, str]:
    """Class by name. Raises ValueError for a name that has two, or a class that is none."""
    found: dict[str, str] = {}
    for kind, names in classes.items():
        if kind not in CLASSES:
            raise ValueError(f"{kind} is no class")
        for name in names.split():
            if name in found:
                raise ValueError(f"{name} has two classes")
            found[name] = kind
    return found
