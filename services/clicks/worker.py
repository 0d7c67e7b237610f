"""The background process: takes clicks to the log, keeps the catalogue, fills the click log."""

from services.clicks.bootstrap import build_worker
from services.clicks.settings import ClicksSettings
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.logging import configure_logging
from shared.runtime.process import Runnable, run_worker
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing


def main() -> None:
    """Run until SIGTERM."""
    settings = ClicksSettings()
    configure_logging("clicks", "worker", level=settings.log_level)
    show_build("clicks", "worker")
    configure_tracing(settings, "clicks", "worker")
    require_migrated(settings.database_url("clicks"), "clicks")
    worker, health = build_worker(settings), Health()
    health.add_check("relay", worker.relay.health)
    health.add_check("catalogue", worker.catalogue.health)
    health.add_check("click_log", worker.click_log.health)
    health.add_check("erasures", worker.erasures.health)
    sweeps = {
        "missed_erasures": worker.missed_erasures,
        "billable_clicks": worker.billable_clicks,
        "retention": worker.retention,
    }
    for name, sweep in sweeps.items():
        health.add_check(name, sweep.health)
    tasks: dict[str, Runnable] = {
        "relay": worker.relay,
        "catalogue": worker.catalogue,
        "click_log": worker.click_log,
        "erasures": worker.erasures,
        **sweeps,
    }
    run_worker(tasks, health, settings, closing=[database.close for database in worker.databases])


if __name__ == "__main__":
    run_plainly(main)
