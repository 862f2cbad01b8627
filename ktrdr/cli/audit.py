"""`ktrdr audit`: what was so, that nobody changed it, and the same model again. Imports click and its commands."""

from __future__ import annotations

import click

from ktrdr.cli.audit_verify import verify


@click.group()
def audit() -> None:
    """Proves the log: verifies it, shows any moment again, makes models again.

    \b
    Examples:
      ktrdr audit verify
    """


for _command in (verify,):
    audit.add_command(_command)
