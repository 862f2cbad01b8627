"""Trainings by the clock: making, looking at, pausing and firing schedules. Imports click; the client when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ktrdr.cli.options import complete_symbols, connect_to, json_option, split_list, target_option, url_option
from ktrdr.cli.output import local_time, put, put_json, put_pairs, put_table, say
from ktrdr.cli.train import read_labels, strategy_of

if TYPE_CHECKING:
    from ktrdr.api.schedule_views import ChangedSchedule, FiringView, ScheduleView
    from ktrdr.client import Client

_name = click.argument("name", metavar="NAME")
_cron = click.option("--cron", metavar="FIELDS", help="MINUTE HOUR DAY MONTH WEEKDAY, or @daily and the like.")
_every = click.option("--every", metavar="LENGTH", help="In place of cron: 15m, 6h, 1d; counted from the start.")
_timezone = click.option("--timezone", metavar="ZONE", help="Of cron, as in Europe/Berlin.  [default: UTC]")
_starting = click.option("--starting", metavar="MOMENT", help="Nothing fires before.")
_until = click.option("--until", metavar="MOMENT", help="Nothing fires after; a bare day counts to its end.")


@click.group()
def schedules() -> None:
    """Lets the service train by the clock: nightly, every few hours, on data that slides along.

    \b
    Examples:
      ktrdr schedules create nightly trend_follower --cron '30 2 * * tue-sat' --window 1095d
      ktrdr schedules list
      ktrdr schedules fire nightly
    """


@schedules.command()
@_name
@click.argument("strategy", metavar="FILE_OR_NAME")
@_cron
@_every
@_timezone
@_starting
@_until
@click.option(
    "--misfire",
    type=click.Choice(["skip", "once", "all"]),
    help="What becomes of firings that were missed: none, the newest, or all are made up for.  [default: once]",
)
@click.option("--grace", type=float, metavar="SECONDS", help="A firing later than that was missed.  [default: 300]")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue"]),
    help="When the job before has not ended: skip, or queue another one.  [default: skip]",
)
@click.option("--window", metavar="LENGTH", help="How far the data of a job reaches back: 730d.")
@click.option("--end-lag", metavar="LENGTH", help="The window ends so long before.")
@click.option(
    "--window-ends",
    type=click.Choice(["due", "last_bar"]),
    help="At the moment of the firing, or at the last bar that all symbols have.  [default: due]",
)
@click.option("--seed", metavar="N|firing", help="A seed, or another one for each firing.")
@click.option("--symbols", shell_complete=complete_symbols, help="Comma-separated, in place of the file's.")
@click.option("--timeframes", help="Comma-separated, in place of the file's.")
@click.option("--start", help="First day or moment of the data (UTC), in place of the file's and of a window.")
@click.option("--end", help="Last day or moment; a bare day counts to its end.")
@target_option
@click.option("--require-gpu", is_flag=True, help="Fail rather than run without a GPU.")
@click.option("--prefer-gpu", is_flag=True, help="Run on a GPU if one is free, else without, and say why.")
@click.option("--priority", type=int, help="-1000 to 1000; higher runs first.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", callback=read_labels, help="May be repeated.")
@click.option("--replace", is_flag=True, help="Put it in the place of the schedule of this name.")
@url_option
@json_option
def create(
    *,
    name: str,
    strategy: str,
    cron: str | None,
    every: str | None,
    timezone: str | None,
    starting: str | None,
    until: str | None,
    misfire: str | None,
    grace: float | None,
    overlap: str | None,
    window: str | None,
    end_lag: str | None,
    window_ends: str | None,
    seed: str | None,
    symbols: str | None,
    timeframes: str | None,
    start: str | None,
    end: str | None,
    target: str | None,
    require_gpu: bool,
    prefer_gpu: bool,
    priority: int | None,
    labels: dict[str, str],
    replace: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Makes a schedule, which submits a training by the clock from now on; all of it is checked at once.

    The jobs carry the label schedule=NAME. Their data is that of the moment at which they are submitted.

    \b
    Examples:
      ktrdr schedules create nightly trend_follower --cron '30 2 * * tue-sat' --timezone America/New_York
      ktrdr schedules create sliding my_strategy.yaml --every 1d --window 730d --window-ends last_bar
      ktrdr schedules create nightly trend_follower --cron @daily --seed firing --replace
    """
    job: dict[str, Any] = {
        "strategy": strategy_of(strategy), "symbols": split_list(symbols), "timeframes": split_list(timeframes),
        "start": start, "end": end, "target": target, "require_gpu": require_gpu, "prefer_gpu": prefer_gpu,
        "priority": priority, "labels": labels or None, "seed": _seed(seed),
    }  # fmt: skip
    said: dict[str, Any] = {
        "cron": cron, "every": every, "timezone": timezone, "start": starting, "end": until, "misfire": misfire,
        "grace_seconds": grace, "overlap": overlap, "window": window, "end_lag": end_lag, "window_ends": window_ends,
        "seed": "firing" if seed == "firing" else None,
    }  # fmt: skip
    job = {key: value for key, value in job.items() if value is not None}
    with connect_to(url) as client:
        made = client.change_schedule(name, job, **said) if replace else client.create_schedule(name, job, **said)
    _tell(made, "changed" if replace else "made", as_json=as_json)


def _seed(text: str | None) -> int | None:
    if text is None or text == "firing":
        return None
    if not (text.isascii() and text.isdigit()):
        raise click.BadParameter(f"{text!r} is neither a whole number nor 'firing'", param_hint="--seed")
    return int(text)


@schedules.command("list")
@url_option
@json_option
def list_(url: str | None, as_json: bool) -> None:
    """Lists the schedules: when each is due next, and what it did last.

    \b
    Examples:
      ktrdr schedules list
      ktrdr schedules list --json | jq '.schedules[] | select(.paused) | .name'
    """
    with connect_to(url) as client:
        found = client.schedules()
    if as_json:
        put_json({"schedules": found})
        return
    put_table(
        ("schedule", "due", "next", "last", "job", "fired", "skipped"),
        [_row(one) for one in found],
        empty="no schedules; make one with: ktrdr schedules create NAME STRATEGY --cron '30 2 * * tue-sat'",
    )


def _row(one: ScheduleView) -> tuple[Any, ...]:
    from ktrdr.sentences import timing_text

    upcoming = "paused" if one["paused"] else local_time(one["next"][0]) if one["next"] else "never again"
    last = one["last_firing"]
    shown = (local_time(last["due_at"]), last["job_status"]) if last else ("", "")
    return (one["name"], timing_text(one["definition"]), upcoming, *shown, one["fired"], one["skipped"])


@schedules.command()
@_name
@click.option("--firings", type=click.IntRange(0, 10_000), default=10, show_default=True, help="How many to show.")
@url_option
@json_option
def show(name: str, firings: int, url: str | None, as_json: bool) -> None:
    """Shows a schedule: what it is, when it is due next, and what became of its last firings.

    \b
    Examples:
      ktrdr schedules show nightly
      ktrdr schedules show nightly --firings 100 --json | jq '.firings[] | select(.outcome == "skipped")'
    """
    with connect_to(url) as client:
        view = client.schedule(name)
        history = list(client.firings(name, limit=firings)) if firings else []
    if as_json:
        put_json({**view, "firings": history})
        return
    _put_schedule(view)
    if history:
        put("")
        put_table(("due", "outcome", "job", "is", "why"), [_firing_row(one) for one in history])


def _put_schedule(view: ScheduleView) -> None:
    from ktrdr.sentences import timing_text

    definition, paused, job = view["definition"], view["paused"], view["definition"]["job"]
    strategy = job["strategy"]
    named = isinstance(strategy, str) and "\n" not in strategy
    window = definition["window"]
    ends = {"due": "at each firing", "last_bar": "at the last bar"}[definition["window_ends"]]
    lag = f", {definition['end_lag']} earlier" if definition["end_lag"] else ""
    put_pairs(
        [
            ("schedule", view["name"]),
            ("due", timing_text(definition)),
            ("from", local_time(definition["start"])),
            ("until", local_time(definition["end"])),
            ("trains", strategy if named else "a strategy of its own"),
            ("symbols", ", ".join(job["symbols"] or [])),
            ("data", f"{window} that end {ends}{lag}" if window else ""),
            ("seed", "another one for each firing" if definition["seed"] == "firing" else job["seed"]),
            ("missed", f"{definition['misfire']} (later than {definition['grace_seconds']:g} s)"),
            ("overlap", definition["overlap"]),
            ("made", f"{local_time(view['created_at'])} by {view['created_by']}"),
            ("paused", f"{local_time(paused['at'])} by {paused['by']} {paused['reason']}".strip() if paused else ""),
            ("next", ", ".join(map(local_time, view["next"])) or ("" if paused else "never again")),
            ("fired", view["fired"] or "not yet"),
            ("skipped", view["skipped"] or None),
        ]
    )


def _firing_row(one: FiringView) -> tuple[Any, ...]:
    from ktrdr.sentences import counted

    due = local_time(one["due_at"])
    if one["count"] > 1:
        due = f"{due} to {local_time(one['until'])} ({counted(one['count'], 'firing')})"
    return (due, one["outcome"].replace("_", " "), one["job_id"], one["job_status"], one["detail"])


@schedules.command()
@_name
@click.option("--reason", default="", help="For whoever wonders later.")
@url_option
@json_option
def pause(name: str, reason: str, url: str | None, as_json: bool) -> None:
    """Lets a schedule fire no more until it goes on.

    \b
    Examples:
      ktrdr schedules pause nightly --reason 'the data feed is down'
    """
    with connect_to(url) as client:
        _tell(client.pause_schedule(name, reason=reason), "paused", as_json=as_json)


@schedules.command()
@_name
@url_option
@json_option
def resume(name: str, url: str | None, as_json: bool) -> None:
    """Lets a paused schedule go on; what came due in the meantime is skipped.

    \b
    Examples:
      ktrdr schedules resume nightly
    """
    with connect_to(url) as client:
        _tell(client.resume_schedule(name), "going on", as_json=as_json)


@schedules.command()
@_name
@click.option("--idempotency-key", help="The same key always gives the same job.")
@click.option("--follow/--no-follow", default=False, help="Watch until the job ends; Ctrl-C only stops watching.")
@url_option
@json_option
def fire(name: str, idempotency_key: str | None, follow: bool, url: str | None, as_json: bool) -> None:
    """Submits the job of a schedule now, paused or not. Prints the id of the job.

    \b
    Examples:
      ktrdr schedules fire nightly
      ktrdr schedules fire nightly --follow
    """
    with connect_to(url) as client:
        job = client.fire_schedule(name, idempotency_key=idempotency_key)
        if follow:
            from ktrdr.cli.follow import follow_job

            raise click.exceptions.Exit(follow_job(client, job["id"], as_json=as_json))
    if as_json:
        put_json(job)
    else:
        put(job["id"])
        say(f"  watch it with: ktrdr jobs follow {job['id']}")


@schedules.command()
@_name
@url_option
@json_option
def delete(name: str, url: str | None, as_json: bool) -> None:
    """Ends a schedule. Its jobs stay, and what it did stays in the log.

    \b
    Examples:
      ktrdr schedules delete nightly
    """
    with connect_to(url) as client:
        client.delete_schedule(name)
    if as_json:
        put_json({"deleted": name})
    else:
        say(f"schedule {name} was deleted; its jobs stay")


@schedules.command("next")
@click.argument("name", metavar="[NAME]", required=False)
@_cron
@_every
@_timezone
@_starting
@_until
@click.option("--count", type=click.IntRange(1, 50), default=5, show_default=True, help="How many firings to tell.")
@url_option
@json_option
def next_(
    *,
    name: str | None,
    cron: str | None,
    every: str | None,
    timezone: str | None,
    starting: str | None,
    until: str | None,
    count: int,
    url: str | None,
    as_json: bool,
) -> None:
    """Tells when a schedule is due next; or when one of such a timing would be, without making it.

    \b
    Examples:
      ktrdr schedules next nightly
      ktrdr schedules next --cron '30 2 * * sun' --timezone Europe/Berlin --count 10
    """
    if name is not None and (cron or every or timezone or starting or until):
        raise click.UsageError("name a schedule, or say a timing, but not both")
    said = {"cron": cron, "every": every, "timezone": timezone, "start": starting, "end": until}
    with connect_to(url) as client:
        if name is not None:
            said = _timing_of(client, name)
        found = client.preview_schedule(**said, count=count)
    if as_json:
        put_json(found)
        return
    for moment in found["local"]:
        put(moment)
    if not found["local"]:
        say("never again")


def _timing_of(client: Client, name: str) -> dict[str, str | None]:
    definition = client.schedule(name)["definition"]
    return {key: definition[key] for key in ("cron", "every", "timezone", "start", "end")}


def _tell(view: ChangedSchedule, done: str, *, as_json: bool) -> None:
    if as_json:
        put_json(view)
        return
    upcoming = "it fires no more by itself" if view["paused"] else "it never fires"
    if view["next"]:
        upcoming = f"due next at {local_time(view['next'][0])}"
    put(f"schedule {view['name']} is {done}; {upcoming}")
    for warning in view["warnings"]:
        say(f"warning: {warning}")
