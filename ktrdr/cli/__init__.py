"""The command line. `main` is its edge: arguments in, exit code out, every foreseen error told in words.

Imports click at the start and everything else only when a command needs it: help must appear at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ktrdr import __version__
from ktrdr.cli.audit import audit
from ktrdr.cli.completion import completion
from ktrdr.cli.config import config
from ktrdr.cli.data import data
from ktrdr.cli.db import db
from ktrdr.cli.demo import demo
from ktrdr.cli.doctor import doctor
from ktrdr.cli.explain import explain
from ktrdr.cli.jobs import jobs
from ktrdr.cli.model import model
from ktrdr.cli.report import report
from ktrdr.cli.root import RootGroup
from ktrdr.cli.schedules import schedules
from ktrdr.cli.service import host_worker, scheduler, serve, up, worker
from ktrdr.cli.service_settings import settings
from ktrdr.cli.strategy import strategy
from ktrdr.cli.tokens import tokens
from ktrdr.cli.top import top
from ktrdr.cli.train import train
from ktrdr.cli.workers import workers

__all__ = ["main", "run"]


@click.group(cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def _ktrdr() -> None:
    """Trains neuro-fuzzy trading models as jobs.

    \b
    Examples:
      ktrdr demo                              see all of it work, in half a minute
      ktrdr up                                start the service
      ktrdr data import --sample              give it prices
      ktrdr train trend_follower --follow     train a model and watch
      ktrdr doctor                            what is wrong, and what to do

    Every command has --help with examples, and --json for machines where it gives data. NO_COLOR and FORCE_COLOR
    are honoured; `ktrdr completion` makes a shell complete all of it.
    """


for _command in (
    demo, up, doctor, train, jobs, schedules, top, report, explain, model, strategy, data, audit, workers, settings,
    tokens, config, db, completion, serve, worker, scheduler, host_worker,
):  # fmt: skip
    _ktrdr.add_command(_command)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and gives its exit code."""
    try:
        code = _ktrdr.main(list(arguments), prog_name="ktrdr", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except Exception as error:
        from ktrdr.cli import failures

        explanation = failures.explain(error)
        if explanation is None:
            raise  # a fault of ktrdr: the traceback is what helps
        failures.tell(explanation, as_json="--json" in arguments)
        return explanation.exit_code
    return code if isinstance(code, int) else 0
