"""Take a bulk job: its rows are kept, and the worker does them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.conversions.domain.bulk import BulkRow
from services.conversions.domain.conversion import Actor
from services.conversions.storage.bulk_store import BulkJob, count_open_jobs, insert_job
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.runtime.audit import Act
from shared.runtime.database import Session

OPEN_JOBS_MAX: Final = 20
"""Unfinished jobs of one party: together they are a day's work for the worker, and a mistake soon seen."""


class TooManyBulkJobs(TributaryError):
    """The party has as many unfinished jobs as it may."""

    code = "bulk_jobs_open"


async def request_bulk_job(
    session: Session,
    rows: Sequence[BulkRow],
    *,
    merchant_id: int | None,
    actor: Actor,
    content_hash: bytes,
    now: datetime,
) -> BulkJob:
    """Keep a job with its rows. actor: its kind is the caller's role, its key the API key. Raises TooManyBulkJobs."""
    if await count_open_jobs(session, merchant_id) >= OPEN_JOBS_MAX:
        raise TooManyBulkJobs("too many unfinished jobs")
    job = BulkJob(
        id=new_id(),
        merchant_id=merchant_id,
        role=actor.kind,
        key_id=actor.key or "",
        content_hash=content_hash,
        row_count=len(rows),
        requested_at=now,
        refused=sum(row.fault is not None for row in rows),
    )
    await insert_job(session, job, rows)
    return job


def bulk_job_act(job: BulkJob) -> Act:
    """A job was asked for: each row that changes something has an entry of its own, when it does."""
    return Act.of("bulk_job", job.id, _state, None, job)


def _state(job: BulkJob) -> Mapping[str, Any]:
    return {
        "job_id": job.id,
        "merchant_id": job.merchant_id,
        "row_count": job.row_count,
        "content_hash": job.content_hash,
        "requested_at": job.requested_at,
    }
