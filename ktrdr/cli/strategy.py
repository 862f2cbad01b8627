"""Strategy files: begin one, check it without any service, keep one in the service, read one back. Imports click."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from ktrdr.cli.options import Word, complete_strategies, connect_to, json_option, url_option
from ktrdr.cli.output import put, put_json, put_table, say
from ktrdr.cli.strategy_files import show, validate


@click.group()
def strategy() -> None:
    """Begins, checks and keeps strategy files.

    \b
    Examples:
      ktrdr strategy new my_strategy
      ktrdr strategy validate my_strategy.yaml
      ktrdr strategy show my_strategy.yaml
    """


strategy.add_command(validate)
strategy.add_command(show)


@strategy.command()
@click.argument("name", required=False)
@click.option("--model", type=Word(("mlp", "lstm", "gru")), help="The kind of network.  [default: mlp]")
@click.option(
    "--from",
    "sample_name",
    metavar="SAMPLE",
    shell_complete=complete_strategies,
    help="A sample strategy to begin with.",
)
@url_option
@json_option
def new(
    name: str | None,
    model: Literal["mlp", "lstm", "gru"] | None,
    sample_name: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Writes a commented strategy to begin with: to NAME.yaml, or without a NAME to the standard output.

    A file that exists is never overwritten. Editors complete the file with the schema that its first
    line names, as long as the service runs.

    \b
    Examples:
      ktrdr strategy new my_strategy
      ktrdr strategy new my_strategy --model gru
      ktrdr strategy new my_strategy --from mean_reversion
    """
    from ktrdr import sample
    from ktrdr.settings import read_settings

    if model and sample_name:
        raise click.UsageError("give either --model or --from")
    file = None if name is None else Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    title = "my_strategy" if file is None else _checked(file.stem)
    address = f"{url or read_settings().url}{sample.SCHEMA_PATH}"
    if sample_name is None:
        text = sample.starter(title, model or "mlp", schema=address)
    elif sample_name in sample.strategies():
        text = sample.renamed(sample_name, sample_name if file is None else title, schema=address)
    else:
        raise click.UsageError(f"there is no sample {sample_name!r}; there are {', '.join(sample.strategies())}")
    if file is None:
        put_json({"file": None, "source": text}) if as_json else click.echo(text, nl=False)
        return
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise click.UsageError(f"{file} exists already and is not overwritten") from None
    if as_json:
        put_json({"file": str(file), "source": text})
    else:
        put(f"{file} is written; check it with: ktrdr strategy validate {file}")


@strategy.command()
@json_option
def schema(as_json: bool) -> None:
    """Prints the JSON Schema of strategy files, for editors. The service has it at /api/v1/strategy-schema.

    An editor that speaks YAML completes and checks a file whose first line is
    # yaml-language-server: $schema=ktrdr.schema.json (or the address of the service).

    \b
    Examples:
      ktrdr strategy schema > ktrdr.schema.json
    """
    from ktrdr.training.strategy.language import file_schema

    if as_json:
        put_json(file_schema())
    else:
        put(json.dumps(file_schema(), indent=2, ensure_ascii=False))


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


@strategy.command("put")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
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


def _checked(name: str) -> str:
    from ktrdr.training.strategy.findings import WRONG, Findings
    from ktrdr.training.strategy.names import check_name

    findings = Findings()
    if check_name(name, (), findings) is WRONG:
        raise click.UsageError(f"{name!r} cannot name a strategy: {findings.faults[0].fix}")
    return name
