"""What people do here as acts of the audit chain: which state of each thing the hashes vouch for.

Left out: bank details, also masked ones. A version of settings is named by its id instead.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from services.commissions.domain.payout_run import PayoutRun
from services.commissions.domain.payout_settings import PayoutSettings
from services.commissions.storage.payout_settings_store import PayoutStop
from shared.runtime.audit import Act, state_hash


def payout_settings_act(before: PayoutSettings | None, after: PayoutSettings) -> Act:
    """An affiliate's payout settings were set, or their wait was ended."""
    return Act.of("payout_settings", after.affiliate_id, _settings_state, before, after)


def payout_stop_act(affiliate_id: int, before: PayoutStop | None, after: PayoutStop | None) -> Act:
    """An affiliate's payouts were stopped, or go on."""
    return Act.of("payout_stop", affiliate_id, _stop_state, before, after)


def payout_run_act(before: PayoutRun | None, after: PayoutRun) -> Act:
    """A payout run was drafted, brought on, cancelled, or answered by the bank."""
    return Act.of("payout_run", after.run_id, _run_state, before, after)


def details_resealed_act(key_id: int, settings_ids: Sequence[UUID]) -> Act:
    """Bank details were sealed anew with a sealing key. Nothing that decides of them changed."""
    return Act("sealing_key", str(key_id), None, state_hash({"key_id": key_id, "settings_ids": list(settings_ids)}))


def _settings_state(settings: PayoutSettings) -> Mapping[str, Any]:
    return {
        "affiliate_id": settings.affiliate_id,
        "version": settings.version,
        "settings_id": settings.settings_id,
        "currency": settings.currency,
        "threshold_minor": settings.threshold_minor,
        "frequency": settings.frequency,
        "weekday": settings.weekday,
        "net_days": settings.net_days,
        "method": settings.method,
        "country": settings.country,
        "held_until": settings.held_until,
    }


def _stop_state(stop: PayoutStop) -> Mapping[str, Any]:
    return {"affiliate_id": stop.affiliate_id, "reason_code": stop.reason_code, "stopped_at": stop.stopped_at}


def _run_state(run: PayoutRun) -> Mapping[str, Any]:
    return {
        "run_id": run.run_id,
        "currency": run.terms.currency,
        "method": run.terms.method,
        "up_to": run.terms.up_to.isoformat(),
        "block_number": run.block_number,
        "state": run.state,
        "drafted_by": run.drafted_by,
        "approved_by": run.approved_by,
        "exported_by": run.exported_by,
    }
