"""What an error says to people, and its exit code. Imported only once something went wrong.

Imports the client's errors and the faults of input.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

import click

from ktrdr.cli.exit_codes import INTERRUPTED, INVALID, NOT_FOUND, REFUSED, UNREACHABLE
from ktrdr.client import ApiError, ClientError, ServiceUnreachableError
from ktrdr.training.faults import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFault:
    path: str
    detail: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    error: str
    exit_code: int
    fix: str = ""
    faults: tuple[PlacedFault, ...] = ()


def explain(error: Exception) -> Explanation | None:
    """What to tell about an error; None for one that nobody foresaw."""
    match error:
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "ktrdr"
            return Explanation(error=error.format_message(), exit_code=INVALID, fix=f"see {path} --help")
        case click.ClickException():
            return Explanation(error=error.format_message(), exit_code=error.exit_code)
        case click.Abort():
            return Explanation(error="stopped", exit_code=INTERRUPTED)
        case InvalidInputError():
            faults = tuple(PlacedFault(path=one.dotted, detail=one.problem, fix=one.fix) for one in error.faults)
            return Explanation(error=_count(len(faults)), exit_code=INVALID, faults=faults)
        case ApiError():
            faults = tuple(PlacedFault(path=one["path"], detail=one["detail"], fix=one["fix"]) for one in error.errors)
            code = INVALID if faults else NOT_FOUND if error.status == 404 else REFUSED
            message = f"{error.title}: {error.detail}" if faults else str(error)
            return Explanation(error=message, exit_code=code, fix=error.fix, faults=faults)
        case ServiceUnreachableError():
            return Explanation(error=str(error), exit_code=UNREACHABLE, fix=error.fix)
        case ClientError():
            return Explanation(error=str(error), exit_code=REFUSED, fix=error.fix)
        case ModuleNotFoundError() if error.name and error.name.partition(".")[0] not in ("ktrdr", "host_worker"):
            return Explanation(
                error=f"this command needs {error.name}, which is not installed",
                exit_code=REFUSED,
                fix="pip install 'ktrdr[service]'",
            )
        case OSError():
            return Explanation(error=str(error), exit_code=REFUSED)
    return None


def tell(explanation: Explanation, *, as_json: bool) -> None:
    """Tells it on stderr."""
    if as_json:
        print(json.dumps(asdict(explanation), ensure_ascii=False), file=sys.stderr)
        return
    lines = [f"error: {explanation.error}"]
    for fault in explanation.faults:
        lines.append(f"  {fault.path}: {fault.detail}" if fault.path else f"  {fault.detail}")
        if fault.fix:
            lines.append(f"    fix: {fault.fix}")
    if explanation.fix:
        lines.append(f"  fix: {explanation.fix}")
    print("\n".join(lines), file=sys.stderr)


def _count(number: int) -> str:
    return "one fault" if number == 1 else f"{number} faults"
