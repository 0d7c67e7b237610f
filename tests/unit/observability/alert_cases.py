"""For each alert: series that let it fire, and series of a bad moment that it has to bear. One value a minute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.local.roles import ROLES


@dataclass(frozen=True, slots=True)
class AlertCase:
    """fires, bears: values by series, in promtool's notation. labels: of the alert, beside its severity. at_minutes:
    when it is asked; late enough for its `for`."""

    alert: str
    fires: Mapping[str, str]
    bears: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    at_minutes: int = 30


def _histogram(name: str, *, at_most: str, few: str | None = None) -> dict[str, str]:
    """100 requests a minute that took at most `at_most` seconds, and more than the bound before, or than `few`: then
    98 of them did not take longer than that."""
    bounds = ["0.1", "0.25", "0.5", "1.0", "2.5", "+Inf"]
    quick = 98 if few else 0
    from_place = bounds.index(few) if few else 0
    reached = bounds.index(at_most)
    return {
        f'{name}_bucket{{job="j", le="{bound}"}}': (
            f"0+{100 if place >= reached else (quick if place >= from_place else 0)}x60"
        )
        for place, bound in enumerate(bounds)
    }


def _http(status: str, per_minute: int, *, route: str = "/v1/offers", job: str = "gateway-api") -> dict[str, str]:
    labels = f'job="{job}", method="GET", route="{route}", status="{status}"'
    return {f"tributary_http_requests_total{{{labels}}}": f"0+{per_minute}x600"}


_PLACE: Final = 'consumer="commissions.conversions", topic="conversions.v1", partition="0", job="commissions-worker"'
_CONSUMER: Final = {"consumer": "commissions.conversions"}
_LAGGING: Final = {**_CONSUMER, "topic": "conversions.v1"}
_PROCESS: Final = 'job="clicks-api", instance="one"'
_DENIALS_PER_MINUTE: Final = 120

CASES: Final[Sequence[AlertCase]] = (
    AlertCase(
        "LedgerOutOfBalance",
        fires={'tributary_ledger_broken_flag{job="commissions-worker"}': "0x20 1x40"},
        bears={
            'tributary_ledger_broken_flag{job="commissions-worker"}': "0x60",
            'tributary_ledger_imbalance_minor{currency="EUR"}': "0x60",
        },
    ),
    AlertCase(
        "LedgerOutOfBalance",
        fires={
            'tributary_ledger_broken_flag{job="commissions-worker"}': "0x60",
            'tributary_ledger_imbalance_minor{currency="EUR"}': "0x20 -7x40",
        },
        bears={'tributary_ledger_imbalance_minor{currency="EUR"}': "0x60"},
        labels={"currency": "EUR"},
    ),
    AlertCase(
        "LedgerNotProved",
        fires={
            'tributary_ledger_transactions_total{kind="accrual", job="commissions-worker"}': "0+5x200",
            'tributary_ledger_verified_block{job="commissions-worker"}': "10x200",
        },
        bears={  # a night without a posting
            'tributary_ledger_transactions_total{kind="accrual", job="commissions-worker"}': "7x200",
            'tributary_ledger_verified_block{job="commissions-worker"}': "10x200",
        },
        at_minutes=120,
    ),
    AlertCase(
        "LedgerNotProved",
        fires={
            'tributary_ledger_transactions_total{kind="accrual", job="commissions-worker"}': "0+1x200",
            'tributary_ledger_verified_block{job="commissions-worker"}': "10x200",
        },
        bears={
            'tributary_ledger_transactions_total{kind="accrual", job="commissions-worker"}': "0+5x200",
            'tributary_ledger_verified_block{job="commissions-worker"}': "10+1x200",
        },
        at_minutes=120,
    ),
    AlertCase(
        "ConversionsStuck",
        fires={'tributary_conversions_waiting_versions{reason="refused"}': "1x60"},
        bears={'tributary_conversions_waiting_versions{reason="version_gap"}': "0x18 3x8 0x40"},
        labels={"reason": "refused"},
    ),
    AlertCase(
        "PostbacksFailing",
        fires={
            'tributary_postbacks_requests_total{status="201"}': "0+98x60",
            'tributary_postbacks_requests_total{status="503"}': "0+2x60",
        },
        bears={
            'tributary_postbacks_requests_total{status="201"}': "0+942x60",
            'tributary_postbacks_requests_total{status="503"}': "0+8x60",
            'tributary_postbacks_requests_total{status="422"}': "0+50x60",
        },
    ),
    AlertCase(
        "PostbacksSlow",
        fires=_histogram("tributary_postback_seconds", at_most="2.5", few="1.0"),
        bears=_histogram("tributary_postback_seconds", at_most="1.0"),
    ),
    AlertCase(
        "EventLogDown",
        fires={
            'tributary_event_log_reachable_flag{job="clicks-worker", task="clicks.click_log"}': "1x25 0x30",
            'tributary_event_log_reachable_flag{job="clicks-worker", task="clicks relay"}': "1x60",
        },
        bears={'tributary_event_log_reachable_flag{job="clicks-worker", task="clicks relay"}': "1x29 0x1 1x30"},
        labels={"job": "clicks-worker"},
    ),
    AlertCase(
        "ConsumerLagging",
        fires={f"tributary_consumer_lag_seconds{{{_PLACE}}}": "0x20 61x40"},
        bears={f"tributary_consumer_lag_seconds{{{_PLACE}}}": "0x20 59x40"},
        labels=_LAGGING,
    ),
    AlertCase(
        "ConsumerFarBehind",
        fires={f"tributary_consumer_lag_seconds{{{_PLACE}}}": "0x20 901x40"},
        bears={f"tributary_consumer_lag_seconds{{{_PLACE}}}": "0x20 899x40"},
        labels=_LAGGING,
    ),
    AlertCase(
        "DeadLettersOpen",
        fires={'tributary_dead_letters_open_records{consumer="commissions.conversions"}': "0x20 1x40"},
        bears={'tributary_dead_letters_open_records{consumer="commissions.conversions"}': "0x27 1x2 0x40"},
        labels=_CONSUMER,
    ),
    AlertCase(
        "ConsumerStopped",
        fires={'tributary_consumer_stopped_flag{consumer="commissions.conversions"}': "0x29 1x40"},
        bears={'tributary_consumer_stopped_flag{consumer="commissions.conversions"}': "0x60"},
        labels=_CONSUMER,
    ),
    AlertCase(
        "EventsParked",
        fires={'tributary_outbox_parked_records{service="clicks"}': "0x20 1x40"},
        bears={'tributary_outbox_parked_records{service="clicks"}': "0x60"},
        labels={"service": "clicks"},
    ),
    AlertCase(
        "OutboxOld",
        fires={'tributary_outbox_oldest_pending_seconds{service="clicks"}': "0x20 31x40"},
        bears={'tributary_outbox_oldest_pending_seconds{service="clicks"}': "0x20 29x40"},
        labels={"service": "clicks"},
    ),
    AlertCase(
        "ClicksLost",
        fires={f"tributary_clicks_lost_clicks_total{{{_PROCESS}}}": "0x25 9x40"},
        bears={f"tributary_clicks_lost_clicks_total{{{_PROCESS}}}": "9x60"},
    ),
    AlertCase(
        "ClicksBuffered",
        fires={f"tributary_clicks_buffered_clicks{{{_PROCESS}}}": "0x20 1x40"},
        bears={f"tributary_clicks_buffered_clicks{{{_PROCESS}}}": "0x60"},
    ),
    AlertCase(
        "ClickHomeFailing",
        fires={'tributary_click_home_failures_groups_total{home="kafka"}': "0+1x60"},
        bears={'tributary_click_home_failures_groups_total{home="kafka"}': "0+0.5x60"},
        labels={"home": "kafka"},
    ),
    AlertCase(
        "RedirectsFailing",
        fires={
            'tributary_redirects_requests_total{answer="redirected"}': "0+998x60",
            'tributary_redirects_requests_total{answer="failed"}': "0+2x60",
        },
        bears={
            'tributary_redirects_requests_total{answer="redirected"}': "0+8992x60",
            'tributary_redirects_requests_total{answer="failed"}': "0+8x60",
            'tributary_redirects_requests_total{answer="refused"}': "0+1000x60",
        },
    ),
    AlertCase(
        "RedirectsSlow",
        fires=_histogram("tributary_redirect_seconds", at_most="0.5"),
        bears=_histogram("tributary_redirect_seconds", at_most="0.25"),
    ),
    AlertCase(
        "RequestsFailing",
        fires=_http("200", 97) | _http("500", 3),
        bears=_http("200", 197) | _http("500", 3) | _http("503", 60, route="/readyz"),
        labels={"job": "gateway-api"},
    ),
    AlertCase(
        "DenialsSpike",
        fires={
            next(iter(_http("401", 1))): f"0+1x360 360+{_DENIALS_PER_MINUTE}x60",
        },
        bears=_http("401", _DENIALS_PER_MINUTE),  # as many as ever
        labels={"job": "gateway-api"},
        at_minutes=375,
    ),
    AlertCase(
        "DenialsSpike",
        fires={next(iter(_http("403", 1))): f"0+1x360 360+{_DENIALS_PER_MINUTE}x60"},
        bears={next(iter(_http("401", 1))): "0+1x360 360+50x60"},  # many more than ever, but few
        labels={"job": "gateway-api"},
        at_minutes=375,
    ),
    AlertCase(
        "DenialsUnaudited",
        fires={'tributary_audit_denials_entries_total{job="gateway-api", fate="lost"}': "0x25 4x40"},
        bears={
            'tributary_audit_denials_entries_total{job="gateway-api", fate="lost"}': "4x60",
            'tributary_audit_denials_entries_total{job="gateway-api", fate="written"}': "0+9x60",
        },
        labels={"job": "gateway-api"},
    ),
    AlertCase(
        "PostbacksNotAuthenticated",
        fires={
            'tributary_postbacks_unauthenticated_postbacks_total{outcome="signature_invalid"}': "0+3x60",
            'tributary_postbacks_requests_total{status="201"}': "0+7x60",
            'tributary_postbacks_requests_total{status="401"}': "0+3x60",
        },
        bears={
            'tributary_postbacks_unauthenticated_postbacks_total{outcome="signature_invalid"}': "0+3x60",
            'tributary_postbacks_requests_total{status="201"}': "0+17x60",
            'tributary_postbacks_requests_total{status="401"}': "0+3x60",
        },
        labels={"outcome": "signature_invalid"},
    ),
    AlertCase(
        "PostbacksNotAuthenticated",
        fires={
            'tributary_postbacks_unauthenticated_postbacks_total{outcome="signature_missing"}': "0+30x60",
            'tributary_postbacks_requests_total{status="401"}': "0+30x60",
        },
        bears={  # one merchant tries things out
            'tributary_postbacks_unauthenticated_postbacks_total{outcome="signature_missing"}': "0+1.5x60",
            'tributary_postbacks_requests_total{status="401"}': "0+1.5x60",
        },
        labels={"outcome": "signature_missing"},
    ),
    AlertCase(
        "DatabaseDown",
        fires={'tributary_database_failed_transactions_total{job="clicks-api", pool="clicks-intake"}': "0x25 1+9x40"},
        bears={'tributary_database_failed_transactions_total{job="clicks-api", pool="clicks-intake"}': "4x60"},
        labels={"job": "clicks-api"},
    ),
    AlertCase(
        "ConnectionsExhausted",
        fires={
            f'tributary_database_in_use_connections{{{_PROCESS}, pool="clicks-intake"}}': "5x60",
            f'tributary_database_limit_connections{{{_PROCESS}, pool="clicks-intake"}}': "5x60",
        },
        bears={
            f'tributary_database_in_use_connections{{{_PROCESS}, pool="clicks-intake"}}': "4x60",
            f'tributary_database_limit_connections{{{_PROCESS}, pool="clicks-intake"}}': "5x60",
        },
        labels={"job": "clicks-api", "instance": "one", "pool": "clicks-intake"},
    ),
    AlertCase(
        "CatalogueStale",
        fires={f"tributary_catalogue_age_seconds{{{_PROCESS}}}": "1x20 61x40"},
        bears={f"tributary_catalogue_age_seconds{{{_PROCESS}}}": "59x60"},
        labels={"job": "clicks-api", "instance": "one"},
    ),
    AlertCase(
        "ProcessDown",
        fires={f"up{{{_PROCESS}}}": "1x20 0x40"},
        bears={f"up{{{_PROCESS}}}": "1x29 0x1 1x40", 'up{job="another team\'s"}': "0x60"},
        labels={"job": "clicks-api", "instance": "one"},
    ),
    AlertCase(
        "ProcessMissing",
        fires={f'up{{job="{role.name}", instance="one"}}': "1x60" for role in ROLES if role.name != "clicks-worker"},
        bears={f'up{{job="{role.name}", instance="one"}}': "0x60" for role in ROLES},
        labels={"job": "clicks-worker"},
    ),
    AlertCase(
        "ProcessRestarting",
        fires={f"process_start_time_seconds{{{_PROCESS}}}": "100x20 200x2 300x2 400x40"},
        bears={f"process_start_time_seconds{{{_PROCESS}}}": "100x20 200x2 300x60"},
        labels={"job": "clicks-api", "instance": "one"},
    ),
    AlertCase(
        "TaskFailing",
        fires={'tributary_task_failed_tries_total{job="clicks-worker", task="clicks relay"}': "0+1x60"},
        bears={'tributary_task_failed_tries_total{job="clicks-worker", task="clicks relay"}': "0+0.5x60"},
        labels={"job": "clicks-worker", "task": "clicks relay"},
    ),
    AlertCase(
        "FilesExhausted",
        fires={f"process_open_fds{{{_PROCESS}}}": "81x60", f"process_max_fds{{{_PROCESS}}}": "100x60"},
        bears={f"process_open_fds{{{_PROCESS}}}": "79x60", f"process_max_fds{{{_PROCESS}}}": "100x60"},
        labels={"job": "clicks-api", "instance": "one"},
    ),
    AlertCase(
        "KeyEndsSoon",
        fires={'tributary_keyring_next_end_seconds{keyring="click"}': "259199x60"},
        bears={'tributary_keyring_next_end_seconds{keyring="click"}': "259201x60"},
        labels={"keyring": "click"},
    ),
    AlertCase(
        "KeyringRefused",
        fires={'tributary_keyring_reload_refusals_total{job="clicks-api", keyring="click"}': "0x25 1x40"},
        bears={'tributary_keyring_reload_refusals_total{job="clicks-api", keyring="click"}': "1x60"},
        labels={"job": "clicks-api", "keyring": "click"},
    ),
)
