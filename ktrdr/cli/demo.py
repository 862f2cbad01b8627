"""The whole of ktrdr in one command, on a service of its own: prices, a training, its history, predictions, the proof.

Imports click; everything else when it runs. Speaks to the API as any client would.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from ktrdr.cli.options import json_option
from ktrdr.cli.output import put, put_heading, put_json, say
from ktrdr.disk import require_folder

if TYPE_CHECKING:
    from ktrdr.audit import Verdict
    from ktrdr.audit.rederivation.rederive import Rederivation
    from ktrdr.client import Client

STRATEGY = "trend_follower"
SYMBOLS = ("AAPL", "IBM", "MSFT")
_HOST = "127.0.0.1"
_LONGEST_SECONDS = 80


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this folder.")
@json_option
def demo(home: Path | None, as_json: bool) -> None:
    """Shows all of it work: starts a service, trains a model, predicts, verifies the log, trains the model again.

    Takes less than half a minute, needs no network, and leaves nothing behind.

    \b
    Examples:
      ktrdr demo
      ktrdr demo --home my_demo
    """
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends it, it puts away its things
    with _time_limit(), _folder(home) as folder, (folder / "service.log").open("ab+") as log:
        try:
            found = _show_all(folder, log, as_json=as_json)
        except Exception:
            _tell_log(log)
            raise
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        put_json({**found, "seconds": seconds})
    else:
        _put_farewell(seconds, home)
    if not found["verdict"]["sound"] or found["trained_again"] != "identical":
        raise click.exceptions.Exit(1)


def _show_all(folder: Path, log: IO[bytes], *, as_json: bool) -> dict[str, Any]:
    from ktrdr.cli.parts import free_port, part_environment, running_parts
    from ktrdr.cli.service import wait_until_ready
    from ktrdr.client import connect

    environment = part_environment(home=str(folder), host=_HOST, port=free_port(_HOST))
    for variable in (
        "KTRDR_DATABASE_URL", "KTRDR_DEFAULT_TARGET", "USE_TRAINING_HOST_SERVICE", "KTRDR_LEASE_SECONDS",
        "KTRDR_CHECKPOINT_PUSH", "KTRDR_WITNESSES",
    ):  # fmt: skip
        environment.pop(variable, None)  # nothing of another installation
    url = environment["KTRDR_URL"]
    with running_parts(environment, say=say, log=log), connect(url) as client:
        if not wait_until_ready(url, threading.Event()):
            raise click.ClickException("the service did not start")
        if as_json:
            return _train_quietly(client, folder)
        put_heading("1  A service")
        put(f"API at {url}, one worker, one scheduler; an SQLite database in {folder}")
        return _train_and_tell(client, folder)


def _train_and_tell(client: Client, folder: Path) -> dict[str, Any]:
    from ktrdr.cli.audit_rederive import put_verdict as put_rederivation
    from ktrdr.cli.audit_verify import put_verdict
    from ktrdr.cli.follow import watch
    from ktrdr.cli.history import put_history
    from ktrdr.cli.metrics import put_metrics
    from ktrdr.cli.predictions import put_predictions

    put_heading("2  Prices")
    for dataset in _import_prices(client):
        put(
            f"{dataset['symbol']:<5} {dataset['rows']:>5} daily bars, {dataset['first'][:10]} to {dataset['last'][:10]}"
        )
    put_heading(f"3  A training: strategy {STRATEGY} over {', '.join(SYMBOLS)}")
    job_id = _submit(client)
    watch(client, job_id, as_json=False)
    result = _result(client, job_id)
    put_heading("4  Its history, from the event log")
    put_history(list(client.events(job_id)))
    put_heading("5  What it is worth: days it never saw, beside always giving the most frequent answer")
    put_metrics(result["metrics"], result["symbol_metrics"])
    put_heading("6  What it says of the newest bars")
    predictions = _predict(client, job_id)
    put_predictions(predictions)
    put_heading("7  The proof: the log as it was signed a moment ago, and everything that follows from it")
    verdict = _verify(client, folder)
    put_verdict(verdict)
    put_heading("8  The same model again, from the log alone, in another process")
    again = _train_again(folder, job_id)
    put_rederivation(again)
    return _summary(job_id, result, predictions, verdict, again)


def _train_quietly(client: Client, folder: Path) -> dict[str, Any]:
    _import_prices(client)
    job_id = _submit(client)
    deque(client.events(job_id, follow=True), maxlen=0)
    result, predictions = _result(client, job_id), _predict(client, job_id)
    return _summary(job_id, result, predictions, _verify(client, folder), _train_again(folder, job_id))


def _import_prices(client: Client) -> list[dict[str, Any]]:
    from ktrdr.sample import prices

    imported = client.import_prices(prices(), filename="prices.csv.gz")["datasets"]
    return [dataset for dataset in imported if dataset["symbol"] in SYMBOLS]


def _submit(client: Client) -> str:
    return client.submit(STRATEGY, symbols=SYMBOLS, labels={"from": "demo"})["id"]


def _result(client: Client, job_id: str) -> dict[str, Any]:
    job = client.job(job_id)
    if job["result"] is None:
        why = job["failure"]["message"] if job["failure"] else "nobody knows why"
        raise click.ClickException(f"the training ended {job['status']}: {why}")
    return dict(job["result"])


def _predict(client: Client, job_id: str) -> dict[str, list[dict[str, Any]]]:
    return {symbol: client.predict(job_id, symbol=symbol) for symbol in SYMBOLS}


def _verify(client: Client, folder: Path) -> Verdict:
    from ktrdr.audit import verify
    from ktrdr.audit.signed.notes import SignedNote
    from ktrdr.store import open_store

    return verify(open_store(folder), kept=[("the signed checkpoint", SignedNote.parse(client.sign()))])


def _train_again(folder: Path, job_id: str) -> Rederivation:
    from ktrdr.audit.rederivation.rederive import rederive
    from ktrdr.jobs.events import JobId
    from ktrdr.store import open_store

    return rederive(open_store(folder), JobId(job_id))


def _summary(
    job_id: str, result: dict[str, Any], predictions: dict[str, Any], verdict: Verdict, again: Rederivation
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "model_digest": result["model_digest"],
        "metrics": result["metrics"],
        "symbol_metrics": result["symbol_metrics"],
        "predictions": predictions,
        "verdict": {"sound": verdict.is_sound, "events": verdict.events, "findings": list(verdict.findings)},
        "trained_again": again.outcome,
    }


def _put_farewell(seconds: float, home: Path | None) -> None:
    place = f"KTRDR_HOME={home} " if home else ""
    put_heading(f"Done in {seconds:.0f} s; the service is stopped" + ("" if home else " and nothing is left behind"))
    put(f"Try next:  {place}ktrdr up")
    put("           ktrdr data import --sample")
    put("           ktrdr strategy new my_strategy --from trend_follower")
    put("           ktrdr train my_strategy.yaml --follow")
    put("           ktrdr audit --help")


@contextmanager
def _folder(home: Path | None) -> Iterator[Path]:
    if home is not None:
        require_folder(home, choose="choose another with --home")
        yield home.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ktrdr-demo-") as temporary:
        yield Path(temporary)


@contextmanager
def _time_limit() -> Iterator[None]:
    """A demonstration that hangs shows nothing."""

    def give_up(*_: object) -> None:
        raise click.ClickException(f"the demo did not end within {_LONGEST_SECONDS} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_LONGEST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def _tell_log(log: IO[bytes]) -> None:
    """What the parts said, for a demo that failed: its folder is about to vanish."""
    log.seek(0)
    for line in log.read().decode(errors="replace").splitlines()[-20:]:
        say(f"  {line}")
