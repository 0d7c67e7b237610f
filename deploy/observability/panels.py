"""What the dashboards show: questions of an operator, each with the queries that answer it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

RATE: Final = "[$__rate_interval]"
PROBES: Final = 'route!~"/readyz|/healthz|/metrics"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question. queries: legend by PromQL. unit: Grafana's id. columns: of 24. red_above: for a single figure."""

    title: str
    meaning: str
    queries: Mapping[str, str]
    unit: str = "short"
    columns: int = 8
    is_one_figure: bool = False
    red_above: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One page. name: of its file."""

    name: str
    title: str
    purpose: str
    panels: Sequence[Panel]


def _figure(title: str, meaning: str, query: str, *, unit: str = "short", red_above: float | None = None) -> Panel:
    return Panel(
        title=title, meaning=meaning, queries={query: ""}, unit=unit, columns=4, is_one_figure=True, red_above=red_above
    )


def _quantiles(series: str, *, by: str = "le") -> dict[str, str]:
    legend = "{{job}} " if "job" in by else ""
    return {
        f"histogram_quantile({q}, sum by ({by}) (rate({series}{RATE})))": f"{legend}p{q * 100:.0f}" for q in (0.5, 0.99)
    }


OVERVIEW: Final = Dashboard(
    name="overview",
    title="overview",
    purpose="Is every process there, how busy is it, how many requests fail, how long do they take.",
    panels=[
        _figure("Processes up", "Of the eight that there are, each at least once.", 'count(up{job=~"$job"} == 1)'),
        _figure("Down", "Scraped without an answer.", 'count(up{job=~"$job"} == 0) or vector(0)', red_above=1),
        _figure(
            "Ledger broken",
            "1 while a block is not what was written.",
            "max(tributary_ledger_broken_flag)",
            red_above=1,
        ),
        _figure(
            "Dead letters", "That wait.", "sum(max by (consumer) (tributary_dead_letters_open_records))", red_above=1
        ),
        _figure("Oldest lag", "Of all consumers.", "max(tributary_consumer_lag_seconds)", unit="s", red_above=60),
        _figure("Clicks in memory", "Durable nowhere.", "sum(tributary_clicks_buffered_clicks)", red_above=1),
        Panel(
            title="Requests",
            meaning="Answered a second, without the probes.",
            queries={
                f'sum by (job) (rate(tributary_http_requests_total{{job=~"$job", {PROBES}}}{RATE}))': "{{job}}",
                f"sum(rate(tributary_redirects_requests_total{RATE}))": "redirects at clicks-api",
                f"sum(rate(tributary_postbacks_requests_total{RATE}))": "postbacks at conversions-api",
            },
            unit="reqps",
        ),
        Panel(
            title="Errors",
            meaning="Share of requests answered 5xx.",
            queries={
                f'sum by (job) (rate(tributary_http_requests_total{{job=~"$job", status=~"5..", {PROBES}}}{RATE}))'
                f' / sum by (job) (rate(tributary_http_requests_total{{job=~"$job", {PROBES}}}{RATE}))': "{{job}}",
            },
            unit="percentunit",
        ),
        Panel(
            title="Duration",
            meaning="From the headers to the end of the answer.",
            queries=_quantiles(
                f'tributary_http_request_duration_seconds_bucket{{job=~"$job", {PROBES}}}', by="job, le"
            ),
            unit="s",
        ),
        Panel(
            title="Processor",
            meaning="Cores used.",
            queries={f'rate(process_cpu_seconds_total{{job=~"$job"}}{RATE})': "{{job}} {{instance}}"},
        ),
        Panel(
            title="Memory",
            meaning="Resident.",
            queries={'process_resident_memory_bytes{job=~"$job"}': "{{job}} {{instance}}"},
            unit="bytes",
        ),
        Panel(
            title="Database connections",
            meaning="In use, of those there may be: at 1 requests wait for one.",
            queries={
                'max by (job, pool) (tributary_database_in_use_connections{job=~"$job"})'
                ' / max by (job, pool) (tributary_database_limit_connections{job=~"$job"})': "{{pool}}",
            },
            unit="percentunit",
        ),
        Panel(
            title="Failing tasks",
            meaning="Failures a second of background tasks that are tried again.",
            queries={
                f'sum by (job, task) (rate(tributary_task_failed_tries_total{{job=~"$job"}}{RATE})) > 0': "{{task}}",
                f'sum by (job) (rate(tributary_database_failed_transactions_total{{job=~"$job"}}{RATE})) > 0': (
                    "{{job}}: database"
                ),
            },
        ),
        Panel(
            title="Running since",
            meaning="Age of each process.",
            queries={'time() - process_start_time_seconds{job=~"$job"}': "{{job}} {{instance}}"},
            unit="s",
        ),
        Panel(
            title="Versions",
            meaning="Processes by what they run.",
            queries={'count by (version) (tributary_build_info{job=~"$job"})': "{{version}}"},
        ),
    ],
)

MONEY: Final = Dashboard(
    name="money",
    title="money",
    purpose="From postback to credit: what is taken, what is refused, what is credited, and whether the books hold.",
    panels=[
        _figure(
            "Ledger broken",
            "1 while a block is not what was written.",
            "max(tributary_ledger_broken_flag)",
            red_above=1,
        ),
        _figure(
            "Imbalance",
            "Sum of all entries proved, in any currency.",
            "max(abs(tributary_ledger_imbalance_minor))",
            red_above=1,
        ),
        _figure("Newest block", "Of the ledger.", "max(tributary_ledger_head_block)"),
        _figure("Proved to block", "In this round.", "max(tributary_ledger_verified_block)"),
        _figure(
            "Versions that wait",
            "For the version before, for their offer version, or refused.",
            "sum(max by (reason) (tributary_conversions_waiting_versions))",
            red_above=1,
        ),
        _figure(
            "Behind",
            "Age of the oldest conversion that is not booked.",
            'max(tributary_consumer_lag_seconds{consumer="commissions.conversions"})',
            unit="s",
            red_above=60,
        ),
        Panel(
            title="Postbacks by outcome",
            meaning="Of merchants that proved who they are.",
            queries={f"sum by (outcome) (rate(tributary_postback_outcomes_postbacks_total{RATE}))": "{{outcome}}"},
            unit="reqps",
        ),
        Panel(
            title="Postbacks of nobody",
            meaning="That proved nothing.",
            queries={
                f"sum by (outcome) (rate(tributary_postbacks_unauthenticated_postbacks_total{RATE}))": "{{outcome}}"
            },
            unit="reqps",
        ),
        Panel(
            title="Postback duration",
            meaning="To the answer, committed.",
            queries=_quantiles("tributary_postback_seconds_bucket"),
            unit="s",
        ),
        Panel(
            title="Conversions by status",
            meaning="Versions recorded, by the status after them.",
            queries={f"sum by (status) (rate(tributary_conversion_versions_total{RATE}))": "{{status}}"},
        ),
        Panel(
            title="Credited by",
            meaning="What conversions were attributed by; none: nobody.",
            queries={
                f"sum by (attributed_by) (rate(tributary_conversion_attributed_conversions_total{RATE}))": (
                    "{{attributed_by}}"
                )
            },
        ),
        Panel(
            title="Ledger transactions",
            meaning="Posted, by kind.",
            queries={f"sum by (kind) (rate(tributary_ledger_transactions_total{RATE}))": "{{kind}}"},
        ),
        Panel(
            title="Commission credited and taken back",
            meaning="In minor units of each currency, an hour.",
            queries={
                "sum by (kind, currency) (increase(tributary_commission_changed_minor_total[1h]))": (
                    "{{kind}} {{currency}}"
                )
            },
            columns=12,
        ),
        Panel(
            title="Why versions wait",
            meaning="Nothing of them is credited meanwhile.",
            queries={"max by (reason) (tributary_conversions_waiting_versions)": "{{reason}}"},
            columns=12,
        ),
    ],
)

EVENT_LOG: Final = Dashboard(
    name="event-log",
    title="event log",
    purpose="What is on its way between the services: outbox, log, consumers, dead letters.",
    panels=[
        Panel(
            title="Lag",
            meaning="Age of the oldest event that is not handled.",
            queries={"max by (consumer) (tributary_consumer_lag_seconds)": "{{consumer}}"},
            unit="s",
        ),
        Panel(
            title="Events not handled",
            meaning="In the log, over all partitions.",
            queries={
                "sum by (consumer) (max by (consumer, topic, partition) (tributary_consumer_lag_records))": (
                    "{{consumer}}"
                ),
            },
        ),
        Panel(
            title="Handled",
            meaning="And committed, a second.",
            queries={f"sum by (consumer) (rate(tributary_consumer_handled_records_total{RATE}))": "{{consumer}}"},
        ),
        Panel(
            title="Age of the outbox",
            meaning="How long the oldest committed event has waited for the log.",
            queries={"max by (service) (tributary_outbox_oldest_pending_seconds)": "{{service}}"},
            unit="s",
        ),
        Panel(
            title="Events in the outbox",
            meaning="Waiting for the log, counted up to 100,000.",
            queries={"max by (service) (tributary_outbox_pending_records)": "{{service}}"},
        ),
        Panel(
            title="Published",
            meaning="Taken from the outbox to the log, a second.",
            queries={f"sum by (service) (rate(tributary_relay_published_records_total{RATE}))": "{{service}}"},
        ),
        Panel(
            title="Dead letters and parked events",
            meaning="That wait for somebody.",
            queries={
                "max by (consumer) (tributary_dead_letters_open_records)": "dead letters of {{consumer}}",
                "max by (service) (tributary_outbox_parked_records)": "parked by {{service}}",
            },
        ),
        Panel(
            title="Stopped or without the log",
            meaning="1 while a consumer refuses to go on, or a task does not reach the log.",
            queries={
                "max by (consumer) (tributary_consumer_stopped_flag)": "{{consumer}} stopped",
                "1 - min by (job, task) (tributary_event_log_reachable_flag)": "{{task}} without the log",
            },
        ),
        Panel(
            title="Batches",
            meaning="From fence to commit, and how many were abandoned a second.",
            queries={
                "histogram_quantile(0.99, sum by (consumer, le)"
                f" (rate(tributary_consumer_batch_seconds_bucket{RATE})))": "{{consumer}} p99",
                f"sum by (consumer) (rate(tributary_consumer_failed_batches_total{RATE})) > 0": (
                    "{{consumer}} abandoned"
                ),
            },
            unit="s",
        ),
    ],
)

EDGE: Final = Dashboard(
    name="edge",
    title="edge",
    purpose="What shoppers, merchants and callers of the API meet.",
    panels=[
        _figure(
            "Clicks lost", "In the last day.", "sum(increase(tributary_clicks_lost_clicks_total[1d]))", red_above=1
        ),
        _figure("Clicks in memory", "Durable nowhere.", "sum(tributary_clicks_buffered_clicks)", red_above=1),
        _figure(
            "Catalogue age",
            "Since a process last compared it.",
            "max(tributary_catalogue_age_seconds)",
            unit="s",
            red_above=60,
        ),
        _figure("Catalogue", "Entries in memory.", "max(tributary_catalogue_entries)"),
        _figure("A key ends in", "Of any keyring.", "min(tributary_keyring_next_end_seconds)", unit="s"),
        _figure("Postbacks waiting", "For their group.", "sum(tributary_postbacks_waiting_postbacks)", red_above=1000),
        Panel(
            title="Redirects",
            meaning="By answer, a second.",
            queries={f"sum by (answer) (rate(tributary_redirects_requests_total{RATE}))": "{{answer}}"},
            unit="reqps",
        ),
        Panel(
            title="Redirect duration",
            meaning="The click made durable.",
            queries=_quantiles("tributary_redirect_seconds_bucket"),
            unit="s",
        ),
        Panel(
            title="Homes of clicks",
            meaning="Where clicks became durable, and groups that a home did not take.",
            queries={
                f"sum by (home) (rate(tributary_clicks_recorded_clicks_total{RATE}))": "{{home}}",
                f"sum by (home) (rate(tributary_click_home_failures_groups_total{RATE})) > 0": "{{home}} failed",
            },
        ),
        Panel(
            title="Refused by the API",
            meaning="4xx by status, a second.",
            queries={f'sum by (status) (rate(tributary_http_requests_total{{status=~"4.."}}{RATE}))': "{{status}}"},
            unit="reqps",
        ),
        Panel(
            title="Failed",
            meaning="5xx by process and route, a second.",
            queries={
                f'sum by (job, route) (rate(tributary_http_requests_total{{status=~"5..", {PROBES}}}{RATE})) > 0': (
                    "{{job}} {{route}}"
                ),
                f'sum(rate(tributary_postbacks_requests_total{{status=~"5.."}}{RATE}))': "postbacks",
                f'sum(rate(tributary_redirects_requests_total{{answer="failed"}}{RATE}))': "redirects",
            },
            unit="reqps",
        ),
        Panel(
            title="Limits",
            meaning="Requests refused by a rate limit, and connections ended by the edge guard, a second.",
            queries={
                f"sum by (policy) (rate(tributary_gateway_limit_refusals_total{RATE}))": "limit: {{policy}}",
                f"sum by (status) (rate(tributary_edge_refusals_total{RATE}))": "edge: {{status}}",
            },
            unit="reqps",
        ),
        Panel(
            title="Slowest routes",
            meaning="p99 of the ten slowest.",
            queries={
                "topk(10, histogram_quantile(0.99, sum by (job, route, le)"
                f" (rate(tributary_http_request_duration_seconds_bucket{{{PROBES}}}{RATE}))))": "{{job}} {{route}}"
            },
            unit="s",
        ),
        Panel(
            title="API keys",
            meaning="Presented and not remembered, by what came of it, a second.",
            queries={f"sum by (outcome) (rate(tributary_gateway_keys_lookups_total{RATE}))": "{{outcome}}"},
        ),
        Panel(
            title="Refusals in the audit chain",
            meaning="By what became of them, a second.",
            queries={f"sum by (fate) (rate(tributary_audit_denials_entries_total{RATE}))": "{{fate}}"},
        ),
    ],
)

DASHBOARDS: Final = (OVERVIEW, MONEY, EVENT_LOG, EDGE)
