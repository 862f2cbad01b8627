"""The list of all commands in sections, and what a mistyped one was meant to be. Imports click."""

from __future__ import annotations

import click

from ktrdr.cli.exit_codes import EXIT_CODES

#: Section → commands, in the order in which one needs them. What stands in none of them is of the last section.
SECTIONS = {
    "Start": ("demo", "up", "doctor"),
    "Train and look": ("train", "jobs", "top", "report", "explain", "model", "strategy", "schedules"),
    "Data": ("data",),
    "Audit": ("audit",),
    "Operate": (
        "workers", "settings", "tokens", "config", "db", "completion", "serve", "worker", "scheduler", "host-worker",
    ),
}  # fmt: skip
#: What people call commands elsewhere.
_ELSEWHERE = {
    "start": "up", "run": "train", "submit": "train", "create": "train", "status": "jobs show", "ls": "jobs list",
    "ps": "jobs list", "logs": "jobs events", "log": "jobs events", "watch": "jobs follow", "kill": "jobs cancel",
    "stop": "jobs cancel", "import": "data import", "upload": "data import", "check": "doctor", "login": "tokens",
    "delete": "jobs cancel", "resume": "jobs retry", "restart": "jobs retry", "download": "jobs model",
}  # fmt: skip


class RootGroup(click.Group):
    """`ktrdr` itself."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        placed = {name for names in SECTIONS.values() for name in names}
        *_, last = SECTIONS
        for section, names in SECTIONS.items():
            listed = list(names) + (sorted(set(self.commands) - placed) if section == last else [])
            rows = [
                (name.ljust(width), _shortened(self.commands[name], formatter.width - width - 6))
                for name in listed
                if name in self.commands and not self.commands[name].hidden
            ]
            with formatter.section(section):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.commands)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code).ljust(width), meaning) for code, meaning in EXIT_CODES.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            if error.possibilities or not (meant := self._meant(args[0])):
                raise
            raise click.UsageError(f"{error.message} Did you mean {meant}?", ctx) from None

    def _meant(self, given: str) -> str:
        """The commands of groups that are called so, or what is called otherwise here; empty for neither."""
        groups = [(name, one) for name, one in self.commands.items() if isinstance(one, click.Group)]
        found = [f"{name} {given}" for name, group in groups if given in group.commands]
        if not found and (known := _ELSEWHERE.get(given)) and known.split()[0] in self.commands:
            found = [known]
        return " or ".join(repr(f"ktrdr {one}") for one in found)


def _shortened(command: click.Command, limit: int) -> str:
    """The first sentence about a command, or as many of its clauses as there is room for."""
    text = command.get_short_help_str(1000)
    if len(text) <= limit:
        return text
    end = max(text.rfind(mark, 0, limit) for mark in (":", ";", ","))
    return text[:end] if end > 0 else command.get_short_help_str(limit)
