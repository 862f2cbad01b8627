"""What the clients of a storm submit: few different trainings, again and again, so that results can be compared."""

from __future__ import annotations

from random import Random
from typing import Any

from strategies import short, trend_follower

_SYMBOLS = (["AAPL"], ["IBM"], ["AAPL", "IBM", "MSFT"])


def recurrent(kind: str, epochs: int) -> dict[str, Any]:
    """The sample strategy with a small network that reads sequences."""
    strategy = trend_follower(epochs=epochs, early_stopping=None, batch_size=256)
    strategy["model"] = {
        "type": kind,
        "architecture": {"sequence_length": 8, "hidden_size": 8, "num_layers": 1, "dropout": 0.1},
    }
    return strategy


def random_submission(random: Random) -> dict[str, Any]:
    """The body of a request that submits a job."""
    strategy = random.choices(
        [short(1), short(8), short(60), short(250), recurrent("lstm", 4), recurrent("gru", 12)], [6, 6, 4, 1, 3, 3]
    )[0]
    body: dict[str, Any] = {
        "strategy": strategy,
        "symbols": random.choice(_SYMBOLS),
        "seed": random.randrange(2),
        "target": random.choice(["local", "host", "auto", "auto"]),
        "priority": random.choice([0, 0, 0, 5, -5]),
        "labels": random.choice([{}, {"desk": "rates"}, {"desk": "shares"}]),
        # Workers die all the time here; where attempts are few, a job is to fail, and to say why.
        "max_attempts": random.choice([100, 100, 100, 2]),
    }
    return body | random.choice(
        [{}, {"checkpoint_every_epochs": 1}, {"checkpoint_every_epochs": 5, "checkpoint_every_seconds": 1}]
    )
