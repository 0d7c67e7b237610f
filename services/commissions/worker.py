"""The background process: conversions become postings, the catalogue is kept, months are closed, words go out."""

from services.commissions.bootstrap import build_worker
from services.commissions.settings import CommissionsSettings
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.logging import configure_logging
from shared.runtime.process import Runnable, run_worker
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing


def main() -> None:
    """Run until SIGTERM."""
    settings = CommissionsSettings()
    configure_logging("commissions", "worker", level=settings.log_level)
    show_build("commissions", "worker")
    configure_tracing(settings, "commissions", "worker")
    require_migrated(settings.database_url("commissions"), "commissions")
    worker, health = build_worker(settings), Health()
    tasks: dict[str, Runnable] = {
        "relay": worker.relay,
        "catalogue": worker.catalogue,
        "conversions": worker.conversions,
        "period_close": worker.period_close,
        "waiting": worker.waiting,
        "ledger": worker.ledger,
        "prefunding": worker.prefunding,
        "month_end": worker.month_end,
        "statements": worker.statements,
        "statement_files": worker.statement_files,
        "retention": worker.retention,
    }
    health.add_check("relay", worker.relay.health)
    for consumer in (worker.catalogue, worker.conversions):
        health.add_check(consumer.name, consumer.health)
    sweeps = {
        "period_close": worker.period_close,
        "waiting": worker.waiting,
        "ledger": worker.ledger,
        "prefunding": worker.prefunding,
        "month_end": worker.month_end,
        "statements": worker.statements,
        "statement_files": worker.statement_files,
        "retention": worker.retention,
    }
    for name, sweep in sweeps.items():
        health.add_check(name, sweep.health)
    run_worker(tasks, health, settings, closing=[worker.database.close])


if __name__ == "__main__":
    run_plainly(main)
