"""What a strategy file means, without any service: `validate` and `show`. Imports click; the grammar when they run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.options import connect_to, json_option, url_option
from ktrdr.cli.output import put, put_json, say
from ktrdr.sentences import counted

if TYPE_CHECKING:
    from ktrdr.training.strategy.parse import Parsed
    from ktrdr.training.strategy.summary import Summary

_SUFFIXES = (".yaml", ".yml", ".json")


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@click.option("--strict", is_flag=True, help="Count warnings as faults.")
@json_option
def validate(files: tuple[Path, ...], strict: bool, as_json: bool) -> None:
    """Says everything that is wrong with strategy files. Needs no service; - is the standard input.

    Exit code 2 if one of them is not valid. With --json, one line for each file.

    \b
    Examples:
      ktrdr strategy validate my_strategy.yaml
      ktrdr strategy validate strategies/*.yaml --strict --json
      ktrdr strategy new | ktrdr strategy validate -
    """
    reports = [_report(file, strict, with_summary=as_json) for file in files]
    for report in reports:
        if as_json:
            put_json(report)
        else:
            _put_report(report)
    if not all(report["valid"] for report in reports):
        raise click.exceptions.Exit(2)


@click.command()
@click.argument("name")
@click.option("--source", is_flag=True, help="The text as it was written instead.")
@url_option
@json_option
def show(name: str, source: bool, url: str | None, as_json: bool) -> None:
    """Prints what a strategy means: every key with its default, its features, warm-up and network.

    NAME is a file, - for the standard input, or the name of a stored or sample strategy. What is
    printed is a strategy file again.

    \b
    Examples:
      ktrdr strategy show my_strategy.yaml
      ktrdr strategy show trend_follower --source
    """
    from ktrdr.training.strategy.parse import parse, to_mapping
    from ktrdr.training.strategy.places import placed
    from ktrdr.training.strategy.summary import summarize

    text = _source(name, url)
    if source:
        written = text if isinstance(text, str) else text.decode("utf-8-sig")
        if as_json:
            put_json({"name": name, "source": written})
        else:
            click.echo(written, nl=not written.endswith("\n"))
        return
    parsed = parse(text)
    summary = summarize(parsed.strategy)
    if as_json:
        put_json(
            {
                "name": parsed.strategy.name,
                "strategy": to_mapping(parsed.strategy),
                **_facts(summary),
                "warnings": [placed(one, {}) for one in parsed.warnings],
            }
        )
        return
    for warning in parsed.warnings:
        say(f"warning: {warning}")
    _put_meaning(parsed, summary)


def _source(name: str, url: str | None) -> str | bytes:
    """The text of a file, or of a strategy that the service knows; of a sample even without a service."""
    from ktrdr import sample
    from ktrdr.client import ServiceUnreachableError

    if name == "-" or Path(name).is_file():
        return _read(Path(name))
    if name.endswith(_SUFFIXES) or "/" in name:
        raise click.UsageError(f"there is no file {name!r}")
    try:
        with connect_to(url) as client:
            return client.strategy(name)
    except ServiceUnreachableError:
        if name not in sample.strategies():
            raise
        return sample.strategies()[name]


def _read(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _report(file: Path, strict: bool, *, with_summary: bool) -> dict[str, Any]:
    """What `validate` says of one file, as `--json` gives it. The summary takes a second: TA-Lib has to be loaded."""
    from ktrdr.training.faults import InvalidInputError
    from ktrdr.training.strategy.names import feature_names
    from ktrdr.training.strategy.parse import parse, to_mapping
    from ktrdr.training.strategy.places import placed, places_of
    from ktrdr.training.strategy.summary import summarize

    source = _read(file)
    name = "standard input" if str(file) == "-" else str(file)
    try:
        parsed = parse(source, strict=strict)
    except InvalidInputError as error:
        places = places_of(source.decode("utf-8-sig", "replace"))
        errors, warnings = (
            [placed(one, places) for one in error.faults],
            [placed(one, places) for one in error.warnings],
        )
        return {"file": name, "valid": False, "errors": errors, "warnings": warnings}
    places = places_of(source.decode("utf-8-sig")) if parsed.warnings else {}
    return {
        "file": name,
        "valid": True,
        "errors": [],
        "warnings": [placed(one, places) for one in parsed.warnings],
        "strategy": to_mapping(parsed.strategy),
        **(_facts(summarize(parsed.strategy)) if with_summary else {"features": feature_names(parsed.strategy)}),
    }


def _put_report(report: Mapping[str, Any]) -> None:
    if report["valid"]:
        strategy = report["strategy"]
        symbols = ", ".join(strategy["training_data"]["symbols"]["list"])
        put(f"{report['file']} is valid: {strategy['name']} over {symbols}, {len(report['features'])} features")
    else:
        put(f"{report['file']} is not valid: {counted(len(report['errors']), 'fault')}")
        _put_faults(report["errors"])
    if report["warnings"]:
        put(counted(len(report["warnings"]), "warning"))
        _put_faults(report["warnings"])


def _put_meaning(parsed: Parsed, summary: Summary) -> None:
    from ktrdr.training.strategy.yaml_file import to_yaml

    put(f"# {counted(summary.parameters, 'parameter')} in the network.")
    put(f"# {counted(summary.warm_up_bars, 'bar')} at most until the first sample: the warm-up.")
    put(f"# {counted(len(summary.features), 'feature')}, in this order:")
    for feature in summary.features:
        put(f"#   {feature}")
    put("")
    click.echo(to_yaml(parsed.strategy, parsed.defaults), nl=False)


def _facts(summary: Summary) -> dict[str, Any]:
    return {
        "features": list(summary.features),
        "warm_up_bars": summary.warm_up_bars,
        "parameters": summary.parameters,
    }


def _put_faults(faults: Sequence[Mapping[str, Any]]) -> None:
    for fault in faults:
        where = ", ".join(
            [f"line {fault['line']}"] * (fault["line"] is not None and not fault["detail"].startswith("line "))
            + [fault["path"]] * bool(fault["path"])
        )
        put(f"  {where}: {fault['detail']}" if where else f"  {fault['detail']}")
        if fault["fix"]:
            put(f"    fix: {fault['fix']}")
