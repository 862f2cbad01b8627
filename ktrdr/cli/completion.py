"""`ktrdr completion`: the script that lets a shell complete commands, options, ids and names. Imports click."""

from __future__ import annotations

import click

from ktrdr.cli.options import Word
from ktrdr.cli.output import is_terminal, put, say

_SET_UP = {
    "bash": "echo 'eval \"$(ktrdr completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(ktrdr completion zsh)\"' >> ~/.zshrc",
    "fish": "ktrdr completion fish > ~/.config/fish/completions/ktrdr.fish",
}


@click.command()
@click.argument("shell", type=Word(list(_SET_UP)))
def completion(shell: str) -> None:
    """Prints the script that makes a shell complete commands, options, job ids, strategies and symbols.

    Ids and names are those of the service; one that does not answer at once is done without. Give a
    service far away more time with KTRDR_COMPLETION_SECONDS.

    \b
    Examples:
      eval "$(ktrdr completion bash)"
      echo 'eval "$(ktrdr completion zsh)"' >> ~/.zshrc
      ktrdr completion fish > ~/.config/fish/completions/ktrdr.fish
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root()
    made = get_completion_class(shell)
    assert made is not None  # click knows these three
    script = made(root.command, {}, "ktrdr", "_KTRDR_COMPLETE")
    # `source()` runs the shell first to ask for its version, which takes longer than all the rest.
    put(script.source_template % script.source_vars())
    if is_terminal():
        say(f"  keep it with: {_SET_UP[shell]}")
