"""`ktrdr audit`: what was so, that nobody changed it, and the same model again. Imports click and its commands."""

from __future__ import annotations

import click

from ktrdr.cli.audit_actions import actions
from ktrdr.cli.audit_checkpoints import checkpoint, consistency
from ktrdr.cli.audit_diff import diff
from ktrdr.cli.audit_export import export
from ktrdr.cli.audit_keys import keys, rotate_key
from ktrdr.cli.audit_proof import check_proof, proof
from ktrdr.cli.audit_prune import prune
from ktrdr.cli.audit_rederive import rederive
from ktrdr.cli.audit_replay import replay
from ktrdr.cli.audit_verify import verify
from ktrdr.cli.audit_why_differ import why_differ
from ktrdr.cli.audit_witness import witness


@click.group()
def audit() -> None:
    """Proves the log: verifies it, shows any moment again, makes models again.

    \b
    Examples:
      ktrdr audit verify
      ktrdr audit replay
      ktrdr audit diff --from 2026-11-23
      ktrdr audit actions --since 2026-11-23
      ktrdr audit rederive 019f2a
      ktrdr audit why-differ 019f2a 019f3b
    """


for _command in (
    verify,
    replay,
    diff,
    actions,
    rederive,
    why_differ,
    checkpoint,
    keys,
    rotate_key,
    proof,
    check_proof,
    consistency,
    witness,
    export,
    prune,
):
    audit.add_command(_command)
