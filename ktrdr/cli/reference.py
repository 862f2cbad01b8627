"""The reference of the command line as Markdown, made from the commands themselves: docs/cli.md.

    python -m ktrdr.cli.reference > docs/cli.md

Imports click and the commands.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from ktrdr.cli import _ktrdr as commands

_HEAD = """\
# The command line

Made from the commands themselves: each says the same with `--help`. Data goes to stdout and talk to stderr, so that
pipes work; `--json` gives JSON with times in UTC. A terminal gets colours and live displays, a pipe plain lines;
`NO_COLOR` is honoured.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_command(commands, "ktrdr")])


def _command(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    yield f"{'#' * min(1 + len(path.split()), 4)} `{path}`\n"
    yield from _help(command)
    if rows := list(_parameters(command, context)):
        yield "| | |\n|---|---|\n" + "\n".join(rows) + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _command(below, f"{path} {name}")


def _help(command: click.Command) -> Iterator[str]:
    """The paragraphs; what click is told to leave as it is (`\\b`) is shown as it is."""
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        first, _, rest = paragraph.partition("\n")
        if first != "\b":
            yield f"{paragraph}\n"
        elif rest.startswith("Examples:\n"):
            examples = inspect.cleandoc(rest.removeprefix("Examples:\n"))
            yield f"```bash\n{examples}\n```\n"
        else:
            yield f"```text\n{rest}\n```\n"


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            if record := parameter.get_help_record(context):
                names, meaning = record
                yield f"| `{_cell(names)}` | {_cell(meaning)} |"
        else:
            yield f"| `{parameter.make_metavar(context)}` | |"


def _cell(text: str) -> str:
    """As the cell of a table; brackets and bars would be Markdown."""
    return text.replace("|", "\\|").replace("[", "(").replace("]", ")")


if __name__ == "__main__":
    sys.stdout.write(reference())
