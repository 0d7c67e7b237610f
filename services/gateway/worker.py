"""The background process: takes the catalogue's events to the log, and sweeps old idempotent answers."""

from services.gateway.bootstrap import build_worker
from services.gateway.settings import GatewaySettings
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.logging import configure_logging
from shared.runtime.process import Runnable, run_worker
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing


def main() -> None:
    """Run until SIGTERM."""
    settings = GatewaySettings()
    configure_logging("gateway", "worker", level=settings.log_level)
    show_build("gateway", "worker")
    configure_tracing(settings, "gateway", "worker")
    require_migrated(settings.database_url("gateway"), "gateway")
    worker, health = build_worker(settings), Health()
    health.add_check("relay", worker.relay.health)
    health.add_check(worker.prefunding.name, worker.prefunding.health)
    tasks: dict[str, Runnable] = {
        "relay": worker.relay,
        "prefunding": worker.prefunding,
        "answer_sweep": worker.answer_sweep,
        "limit_sweep": worker.limit_sweep,
    }
    run_worker(tasks, health, settings, closing=[worker.database.close])


if __name__ == "__main__":
    run_plainly(main)
