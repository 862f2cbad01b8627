"""The data of a training in a folder of content-addressed files, `<digest>.npy` each. Imports pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ktrdr.training import prices, series
from ktrdr.training.specification import ContextReference, PriceReference, Specification


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Reads what a specification names; each reading raises InvalidInputError for data that is not what it names."""

    specification: Specification
    folder: Path

    def read_prices(self, price: PriceReference) -> pd.DataFrame:
        return prices.read(self._path(price.digest), price.digest)

    def read_context(self, one: ContextReference) -> pd.DataFrame:
        kind = self.specification.strategy.context[one.name].kind
        return series.read(self._path(one.digest), kind, one.digest)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.npy"
