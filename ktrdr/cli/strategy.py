"""Strategy files: check one without any service, keep one in the service, read one back. Imports click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import put, put_json, put_table, say

if TYPE_CHECKING:
    from ktrdr.training.faults import Fault

_file = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def strategy() -> None:
    """Checks and keeps strategy files.

    \b
    Examples:
      ktrdr strategy validate my_strategy.yaml
      ktrdr strategy show trend_follower > my_strategy.yaml
    """


@strategy.command()
@_file
@click.option("--strict", is_flag=True, help="Count warnings as faults.")
@json_option
def validate(file: Path, strict: bool, as_json: bool) -> None:
    """Says everything that is wrong with a strategy file. Needs no service.

    Exit code 2 if the file is not valid.

    \b
    Examples:
      ktrdr strategy validate my_strategy.yaml
      ktrdr strategy validate my_strategy.yaml --strict --json
    """
    from ktrdr.training.faults import InvalidInputError
    from ktrdr.training.strategy.names import feature_names
    from ktrdr.training.strategy.parse import parse, to_mapping

    try:
        parsed = parse(file.read_bytes(), strict=strict)
    except InvalidInputError as error:
        faults = _plain(error.faults)
        if as_json:
            put_json({"valid": False, "errors": faults, "warnings": []})
        else:
            put(f"{file} is not valid: {'one fault' if len(faults) == 1 else f'{len(faults)} faults'}")
            _put_faults(faults)
        raise click.exceptions.Exit(2) from None
    features, warnings = list(feature_names(parsed.strategy)), _plain(parsed.warnings)
    if as_json:
        put_json(
            {
                "valid": True,
                "errors": [],
                "warnings": warnings,
                "strategy": to_mapping(parsed.strategy),
                "features": features,
            }
        )
        return
    found = parsed.strategy
    put(f"{file} is valid: {found.name} over {', '.join(found.data.symbols)}, {len(features)} features")
    if warnings:
        put("one warning" if len(warnings) == 1 else f"{len(warnings)} warnings")
        _put_faults(warnings)


@strategy.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """Lists the strategies that the service knows by name.

    \b
    Examples:
      ktrdr strategy list
      ktrdr strategy list --json
    """
    with connect_to(url) as client:
        known = client.strategies()
    if as_json:
        put_json(known)
    else:
        rows = [(name, "stored") for name in known["stored"]]
        rows += [(name, "sample") for name in known["samples"] if name not in known["stored"]]
        put_table(("name", "kind"), rows)


@strategy.command()
@click.argument("name")
@url_option
@json_option
def show(name: str, url: str | None, as_json: bool) -> None:
    """Prints a stored or sample strategy as it was written.

    \b
    Examples:
      ktrdr strategy show trend_follower > my_strategy.yaml
    """
    with connect_to(url) as client:
        source = client.strategy(name)
    if as_json:
        put_json({"name": name, "source": source})
    else:
        click.echo(source, nl=not source.endswith("\n"))


@strategy.command("put")
@_file
@url_option
@json_option
def put_(file: Path, url: str | None, as_json: bool) -> None:
    """Keeps a valid strategy file in the service, under the name that is written in it.

    \b
    Examples:
      ktrdr strategy put my_strategy.yaml
    """
    from ktrdr.training.strategy.parse import parse

    source = file.read_bytes()
    name = parse(source).strategy.name
    with connect_to(url) as client:
        stored = client.put_strategy(name, source.decode("utf-8-sig"))
    if as_json:
        put_json(stored)
        return
    for warning in stored["warnings"]:
        say(f"warning: {warning['path']}: {warning['detail']}")
    put(f"{name} is stored; train it with: ktrdr train {name}")


def _plain(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [{"path": fault.dotted, "detail": fault.problem, "fix": fault.fix} for fault in faults]


def _put_faults(faults: Sequence[Mapping[str, Any]]) -> None:
    for fault in faults:
        put(f"  {fault['path']}: {fault['detail']}" if fault["path"] else f"  {fault['detail']}")
        if fault["fix"]:
            put(f"    fix: {fault['fix']}")
