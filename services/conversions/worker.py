"""The background process: takes changes to the log, keeps the catalogue and the click index, sweeps what is due."""

from services.conversions.bootstrap import build_worker
from services.conversions.settings import ConversionsSettings
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.logging import configure_logging
from shared.runtime.process import Runnable, run_worker
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing


def main() -> None:
    """Run until SIGTERM."""
    settings = ConversionsSettings()
    configure_logging("conversions", "worker", level=settings.log_level)
    show_build("conversions", "worker")
    configure_tracing(settings, "conversions", "worker")
    require_migrated(settings.database_url("conversions"), "conversions")
    worker, health = build_worker(settings), Health()
    sweeps = {
        "approvals": worker.approvals,
        "waiting": worker.waiting,
        "click_details": worker.click_details,
        "erasures": worker.erasures,
        "bulk_jobs": worker.bulk_jobs,
        "retention": worker.retention,
        "limit_sweep": worker.limit_sweep,
    }
    tasks: dict[str, Runnable] = {
        "relay": worker.relay,
        "catalogue": worker.catalogue,
        "click_index": worker.click_index,
        "billable_clicks": worker.billable_clicks,
        "clicks_erased": worker.clicks_erased,
        **sweeps,
    }
    health.add_check("relay", worker.relay.health)
    for consumer in (worker.catalogue, worker.click_index, worker.billable_clicks, worker.clicks_erased):
        health.add_check(consumer.name, consumer.health)
    for name, sweep in sweeps.items():
        health.add_check(name, sweep.health)
    run_worker(tasks, health, settings, closing=[worker.database.close])


if __name__ == "__main__":
    run_plainly(main)
