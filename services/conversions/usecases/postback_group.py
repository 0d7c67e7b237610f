"""Group commit: what arrives within two milliseconds is recorded in one transaction, and answered after its commit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.conversions.domain.fair_queue import FairQueue
from services.conversions.usecases.accept_postback import accept_postbacks
from services.conversions.usecases.answer import Answer
from services.conversions.usecases.count_versions import count_outcome
from services.conversions.usecases.judge_postback import Submission
from services.conversions.usecases.settle_customers import OwnershipOutrun
from shared.runtime.database import Database, is_unavailable, sqlstate_of
from shared.runtime.failpoint import failpoint
from shared.runtime.fill import Fill
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, gauge
from shared.runtime.tracing import keeps, tell

GATHER_SECONDS: Final = 0.002
"""How long the first of a group waits for company."""

GROUP_MAX: Final = 200
"""Submissions in one transaction."""

WAITING_MAX: Final = 2_000
"""Submissions that may wait, about a second's worth: beyond, the door answers 503 instead of growing."""

MERCHANT_WAITING_MAX: Final = 500
"""Of them, those of one merchant: the rest stays free for the others."""

GROUPS_IN_FLIGHT_MAX: Final = 1
"""One at a time makes the largest groups, and the cost is per group."""
TRIES_MAX: Final = 3
_TRY_AGAIN: Final = frozenset({"40001", "40P01"})
"""Serialization failure, deadlock: another group was in the way; once more will do."""

GROUP_TIMEOUT_SECONDS: Final = 10.0

_log = get_logger(__name__)
_groups = counter("postback_groups", unit="transactions", meaning="Groups of postbacks committed")
_grouped = counter("postbacks_grouped", unit="postbacks", meaning="Postbacks recorded in those groups")
_fill = Fill("postbacks", limit=WAITING_MAX)
_waiting_gauge = gauge("postbacks_waiting", unit="postbacks", meaning="Postbacks that wait for their group")


class PostbacksUnavailable(Exception):
    """Nothing was taken: too many wait, or the database does not answer. The same postback may be sent again."""


@dataclass(slots=True)
class _Waiting:
    submissions: Sequence[Submission]
    done: "asyncio.Future[list[Answer]]"


class PostbackGroup:
    """The one way postbacks are recorded. database: as `conversions_intake`. Lives in one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: FairQueue[_Waiting] = FairQueue(size_max=WAITING_MAX, line_max=MERCHANT_WAITING_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._groups: set[asyncio.Task[None]] = set()

    async def record(self, submissions: Sequence[Submission]) -> list[Answer]:
        """The answers, once everything is committed. Raises PostbacksUnavailable, and then nothing may be answered 2xx.

        Several submissions of one request are recorded in one transaction.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submissions, loop.create_future())
        if not self._waiting.add(submissions[0].arrival.merchant_id, waiting, len(submissions)):
            _fill.refused()
            raise PostbacksUnavailable
        if self._timer is None and len(self._groups) < GROUPS_IN_FLIGHT_MAX:
            self._timer = loop.call_later(GATHER_SECONDS, self._leave)
        return await waiting.done

    def _leave(self) -> None:
        self._timer = None
        _fill.set(self._waiting.size)
        _waiting_gauge.set(self._waiting.size)
        group = self._waiting.take(GROUP_MAX)
        if not group:
            return
        task = asyncio.get_running_loop().create_task(self._commit(group))
        self._groups.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: "asyncio.Task[None]") -> None:
        self._groups.discard(task)
        if self._waiting.size and self._timer is None:
            self._leave()

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._commit_together(group)
        except Exception as error:
            if is_unavailable(error) or len(group) == 1:
                _log.warning("postback_group_failed", error=type(error).__name__, sqlstate=sqlstate_of(error))
                _fail(group)
            else:
                # One of them may be the cause: alone, each gets its own answer.
                await asyncio.gather(*(self._commit([waiting]) for waiting in group))
                return
        except BaseException:
            _fail(group)
            raise

    async def _commit_together(self, group: Sequence[_Waiting]) -> None:
        submissions = [submission for waiting in group for submission in waiting.submissions]
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                async with asyncio.timeout(GROUP_TIMEOUT_SECONDS), self._database.transaction() as session:
                    answers = await accept_postbacks(session, submissions)
                    failpoint("postback.before_commit")
                break
            except Exception as error:
                if not tries_left or not _may_pass(error):
                    raise
        failpoint("postback.after_commit")
        _groups.inc()
        _grouped.inc(len(submissions))
        for answer in answers:
            count_outcome(answer)
        _tell(submissions, answers)
        for waiting in group:
            mine, answers = answers[: len(waiting.submissions)], answers[len(waiting.submissions) :]
            if not waiting.done.done():
                waiting.done.set_result(mine)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, OwnershipOutrun) or sqlstate_of(error) in _TRY_AGAIN


def _tell(submissions: Sequence[Submission], answers: Sequence[Answer]) -> None:
    """Log what was committed: refusals, and whatever belongs to a trace that is kept."""
    for submission, answer in zip(submissions, answers, strict=True):
        if answer.is_taken and not keeps(submission.trace_id):
            continue
        tell(
            "postback_answered",
            trace_id=submission.trace_id,
            request_id=submission.arrival.request_id,
            receipt_id=str(submission.arrival.receipt_id),
            conversion_id=None if answer.conversion_id is None else str(answer.conversion_id),
            outcome=answer.outcome.label,
            status=answer.status,
            duplicate=answer.duplicate,
        )


def _fail(group: Sequence[_Waiting]) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(PostbacksUnavailable())
