"""What users keep beside jobs: which data a symbol or a series means, and strategy files by name.

Imports the store's own parts. Each function is an operation for `Log.write`. Neither is a fact about a job: a job
carries the strategy and the digests that it was submitted with.
"""

from __future__ import annotations

from ktrdr.store.log import Transaction
from ktrdr.store.reader import PRICES, Dataset


def put_dataset(
    transaction: Transaction,
    *,
    kind: str = PRICES,
    symbol: str,
    timeframe: str,
    digest: str,
    rows: int,
    first: str,
    last: str,
) -> Dataset:
    """Lets a symbol and timeframe (of values: a name and frequency) mean the data with this digest from now on."""
    dataset = Dataset(
        kind=kind,
        symbol=symbol,
        timeframe=timeframe,
        digest=digest,
        rows=rows,
        first=first,
        last=last,
        imported_at=transaction.now,
    )
    transaction.has_written = True
    transaction.statements.delete_dataset.run(transaction.cursor, kind=kind, symbol=symbol, timeframe=timeframe)
    transaction.statements.insert_dataset.run_with(
        transaction.cursor, {name: getattr(dataset, name) for name in Dataset.__slots__}
    )
    return dataset


def put_strategy(transaction: Transaction, *, name: str, source: str) -> None:
    """Keeps a strategy file under its name, in place of the one before."""
    transaction.has_written = True
    transaction.statements.delete_strategy.run(transaction.cursor, name=name)
    transaction.statements.insert_strategy.run(transaction.cursor, name=name, source=source, stored_at=transaction.now)
