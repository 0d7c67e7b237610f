"""`tributary conversions bulk`: a file of rows through the public API, with the caller's own key.

The idempotency key is the file's hash: interrupted and called again, it is the same job that is waited for.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.progress import Progress
from deploy.local.problem import PlainProblem
from shared.kernel.ids import ID_MAX

app = typer.Typer(no_args_is_help=True, help="Conversions, many at once.")

KEY_VARIABLE: Final = "TRIBUTARY_API_KEY"
"""Out of the environment: an argument could be read by every account of the machine."""

FILE_BYTES_MAX: Final = 8_388_608
ASK_EVERY_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 65.0
_CONTENT_TYPES: Final = {".csv": "text/csv", ".json": "application/json"}


@app.callback(help="Conversions, many at once.")
def _group() -> None:
    """Keeps `bulk` a command of its own while it is the only one."""


@app.command()
def bulk(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Rows, .csv or .json.")
    ],
    url: Annotated[str, typer.Option(help="The gateway.", envvar="TRIBUTARY_URL")] = "http://127.0.0.1:8080",
    merchant_id: Annotated[
        int | None, typer.Option(min=1, max=ID_MAX, help="Whose conversions, for an admin's key.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Where to write what became of each row, as CSV.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Approve, reject, reverse or adjust the conversions of a file. The key comes from TRIBUTARY_API_KEY.

    Exit 1 when the file, or a row of it, is refused. Interrupted, call it again: it waits for the same job.
    """
    content = _read(file)
    headers = {"Authorization": f"Bearer {_key()}"}
    with httpx.Client(base_url=url, headers=headers, timeout=ANSWER_SECONDS) as client:
        try:
            job = _finished(client, _asked(client, file, content, merchant_id))
            if results is not None:
                answer = client.get(f"/v1/bulk-jobs/{job['id']}/results", params={"format": "csv"}).raise_for_status()
                results.write_bytes(answer.content)
        except httpx.HTTPStatusError as refused:
            complain(f"{file.name}: {_reason(refused.response)}", "Nothing was changed by what was refused.")
            raise typer.Exit(EXIT_PROBLEM) from None
        except httpx.HTTPError as fault:
            raise PlainProblem(
                f"The gateway did not answer ({type(fault).__name__}).",
                "Look at --url, and call again: the job goes on.",
            ) from None
    _say(job, as_json=as_json)


def _read(file: Path) -> bytes:
    if file.suffix.lower() not in _CONTENT_TYPES:
        raise typer.BadParameter("Give a .csv or a .json file.")
    if file.stat().st_size > FILE_BYTES_MAX:
        raise typer.BadParameter(f"The file is larger than {FILE_BYTES_MAX} bytes: make several.")
    return file.read_bytes()


def _key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise PlainProblem(f"{KEY_VARIABLE} is not set.", "Put a merchant's or an admin's API key there.")
    return key


def _asked(client: httpx.Client, file: Path, content: bytes, merchant_id: int | None) -> dict[str, Any]:
    headers = {
        "Content-Type": _CONTENT_TYPES[file.suffix.lower()],
        "Idempotency-Key": hashlib.sha256(b"%d " % (merchant_id or 0) + content).hexdigest(),
    }
    params = {} if merchant_id is None else {"merchant_id": merchant_id}
    answer = client.post("/v1/conversions/bulk", content=content, headers=headers, params=params).raise_for_status()
    job: dict[str, Any] = answer.json()
    return job


def _finished(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job, once it is finished."""
    with Progress("rows done") as progress:
        while True:
            job = client.get(f"/v1/bulk-jobs/{job['id']}").raise_for_status().json()
            progress.show(job["done"] + job["already"] + job["refused"], job["rows"])
            if job["status"] == "finished":
                return job
            time.sleep(ASK_EVERY_SECONDS)


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        faults = "; ".join(f"{fault['field']} {fault['message']}" for fault in problem.get("errors", []))
        return f"{problem['code']}. {faults or problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"the answer was HTTP {answer.status_code}"


def _say(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        print_table(
            ("JOB", "ROWS", "DONE", "ALREADY", "REFUSED"),
            [(job["id"], job["rows"], job["done"], job["already"], job["refused"])],
        )
    if job["refused"]:
        raise typer.Exit(EXIT_PROBLEM)
