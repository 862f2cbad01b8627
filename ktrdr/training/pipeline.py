"""The eleven steps from price data to a saved model: `TrainingPipeline`. Imports pandas and torch.

Each step is synchronous, returns its result and changes nothing; only `train_model` reports and can be stopped. Data
of several symbols is held as symbol → chart (a timeframe or a context series) → content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from ktrdr.training import features as feature_steps
from ktrdr.training import saved_model
from ktrdr.training.charts import Charts, charts_of, within_dates
from ktrdr.training.dataset import Dataset, SymbolLabels, SymbolSamples, join
from ktrdr.training.determinism import seed_everything
from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.evaluation import Evaluation, evaluate
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.features import Columns, Features, Memberships
from ktrdr.training.histograms import MembershipHistogram
from ktrdr.training.labels import SOURCES, label_bars
from ktrdr.training.losses import SampleLosses, balanced_class_weights, sample_losses
from ktrdr.training.models import build_network, window_length
from ktrdr.training.progress import CancellationToken, ProgressCallback, TrainingFailedError
from ktrdr.training.resuming import Origin
from ktrdr.training.specification import ContextReference, PriceReference, Specification
from ktrdr.training.split import split_rows
from ktrdr.training.strategy.model import Strategy
from ktrdr.training.trainer import CheckpointCallback, TrainedModel, train_network
from ktrdr.training.windows import samples_with_window

ReadContext = Callable[[ContextReference], pd.DataFrame]


def no_context(reference: ContextReference) -> pd.DataFrame:
    """Reads the context series of strategies that have none."""
    raise KeyError(reference.name)


@dataclass(frozen=True, slots=True)
class TrainingPipeline:
    specification: Specification
    capabilities: DeviceCapabilities

    @property
    def strategy(self) -> Strategy:
        return self.specification.strategy

    @property
    def seed(self) -> int:
        """The strategy's own seed, or else the job's."""
        own = self.strategy.training.seed
        return self.specification.seed if own is None else own

    def load_price_data(
        self, read_prices: Callable[[PriceReference], pd.DataFrame], read_context: ReadContext = no_context
    ) -> dict[str, Charts]:
        """The bars within the date range, and `history_required` bars before it, of every timeframe and context
        series."""
        strategy = self.strategy
        frames: dict[str, dict[str, pd.DataFrame]] = {symbol: {} for symbol in strategy.data.symbols}
        for reference in self.specification.prices:
            frames[reference.symbol][reference.timeframe] = read_prices(reference)
        context = {reference.name: read_context(reference) for reference in self.specification.context}
        charts: dict[str, Charts] = {}
        for symbol, of_symbol in frames.items():
            where = f"load_price_data, {symbol}"
            try:
                whole = charts_of(strategy, of_symbol, context)
            except InvalidInputError as error:
                raise TrainingFailedError("price_data", str(error), where=where, fix="import the data again") from error
            charts[symbol] = within_dates(strategy, whole)
            base = strategy.data.base_timeframe
            if charts[symbol][base].empty:
                message = f"{symbol} has no {base} bar within the date range"
                fix = f"its bars go from {whole[base].index[0]} to {whole[base].index[-1]}: choose dates among them"
                raise TrainingFailedError("too_few_bars", message, where=where, fix=fix)
        return charts

    def calculate_indicators(self, charts: Mapping[str, Charts]) -> dict[str, dict[str, Columns]]:
        """The columns of the indicators that inputs read on each chart, NaN during their warm-up."""
        return {
            symbol: {
                chart: feature_steps.calculate_indicators(self.strategy, chart, frame)
                for chart, frame in of_symbol.items()
            }
            for symbol, of_symbol in charts.items()
        }

    def generate_fuzzy_memberships(
        self, indicators: Mapping[str, Mapping[str, Columns]]
    ) -> dict[str, dict[str, Memberships]]:
        """The memberships of the fuzzy sets that the inputs read."""
        return {
            symbol: {
                chart: feature_steps.generate_memberships(self.strategy, chart, columns)
                for chart, columns in of_symbol.items()
            }
            for symbol, of_symbol in indicators.items()
        }

    def engineer_features(
        self,
        charts: Mapping[str, Charts],
        indicators: Mapping[str, Mapping[str, Columns]],
        memberships: Mapping[str, Mapping[str, Memberships]],
    ) -> dict[str, Features]:
        """The features in the order of the strategy's inputs, one row per bar of the base timeframe."""
        return {
            symbol: feature_steps.assemble(self.strategy, of_symbol, indicators[symbol], memberships[symbol])
            for symbol, of_symbol in charts.items()
        }

    def generate_labels(self, frames: Mapping[str, Charts]) -> dict[str, SymbolLabels]:
        """The label of each bar of the base timeframe."""
        labels: dict[str, SymbolLabels] = {}
        for symbol, charts in frames.items():
            times = self._times(charts)
            bars = feature_steps.bars_of(charts[self.strategy.data.base_timeframe])
            of_bars = label_bars(self.strategy.training.labels, bars, self._train_bars(times))
            labels[symbol] = SymbolLabels(times, bars.close, of_bars)
        return labels

    def _train_bars(self, times: pd.DatetimeIndex) -> slice:
        """The bars that label parameters are estimated on: the train part's share of those from the start date on.

        The bars before it are no samples and do not count, so that `history_required` changes no label.
        """
        start = self.strategy.data.start
        first = 0 if start is None else int(times.searchsorted(pd.Timestamp(start), side="left"))
        return slice(first, first + int((len(times) - first) * self.strategy.training.data_split[0]))

    def combine_multi_symbol_data(
        self, features: Mapping[str, Features], labels: Mapping[str, SymbolLabels]
    ) -> dict[str, SymbolSamples]:
        """The samples of each symbol: its bars from the start date on of which all features and the label are known."""
        start = self.strategy.data.start
        samples: dict[str, SymbolSamples] = {}
        for symbol, of_symbol in features.items():
            times, of_bars = labels[symbol].times, labels[symbol].of_bars
            if not times.equals(of_symbol.times):
                raise ValueError(f"the features and the labels of {symbol} belong to different times")
            rows = of_symbol.complete_rows()
            rows = rows[~np.isnan(of_bars.values[rows])]
            if start is not None:
                rows = rows[rows >= times.searchsorted(pd.Timestamp(start), side="left")]
            if len(rows) == 0:
                message = f"none of the {len(times)} bars of {symbol} has all of its features and a label"
                where = f"combine_multi_symbol_data, {symbol}"
                fix = "give more bars, or shorter periods and label horizons"
                raise TrainingFailedError("too_few_bars", message, where=where, fix=fix)
            samples[symbol] = SymbolSamples(of_symbol, of_bars, labels[symbol].closes, rows)
        return samples

    def split_data(self, samples: Mapping[str, SymbolSamples]) -> Dataset:
        """The three parts: each symbol cut by time, then joined part by part; normalised as the train part is."""
        shares = self.strategy.training.data_split
        splits = {
            symbol: split_rows(of.rows, of.labels.ends[of.rows], shares, of.labels.fitted_until)
            for symbol, of in samples.items()
        }
        length = window_length(self.strategy.model)
        if length is not None:
            splits = {
                symbol: samples_with_window(split, samples[symbol].features.complete_rows(), length)
                for symbol, split in splits.items()
            }
        for symbol, split in splits.items():
            for part, rows in (("train", split.train), ("validation", split.validation), ("test", split.test)):
                if len(rows) == 0:
                    count = len(samples[symbol].rows)
                    message = f"of the {count} samples of {symbol} none is left for the {part} part"
                    fix = "give more bars, a longer date range, or labels that look less far ahead"
                    fix += "" if length is None else f", or a model.architecture.sequence_length below {length}"
                    raise TrainingFailedError("no_samples", message, where=f"split_data, {symbol}", fix=fix)
        classes = SOURCES[self.strategy.training.labels.source].classes
        dataset = join(samples, splits, feature_steps.feature_columns(self.strategy), classes, length)
        if classes and bool((dataset.train.targets == dataset.train.targets[0]).all()):
            only = classes[int(dataset.train.targets[0])]
            message = f"every sample of the train part has the label {only}, so there is nothing to learn"
            fix = "choose label parameters that tell bars apart, or a longer date range"
            raise TrainingFailedError("one_class", message, where="split_data", fix=fix)
        return dataset

    def create_model(self, dataset: Dataset) -> nn.Module:
        """A network with new weights drawn by the seed."""
        seed_everything(self.seed)
        outputs = len(dataset.classes) or 1
        return build_network(self.strategy.model, inputs=len(dataset.feature_names), outputs=outputs)

    def train_model(
        self,
        model: nn.Module,
        dataset: Dataset,
        *,
        progress_callback: ProgressCallback,
        cancellation_token: CancellationToken,
        origins: Sequence[Origin] = (),
        checkpoint_callback: CheckpointCallback | None = None,
    ) -> TrainedModel:
        """A trained copy of the model. Raises `TrainingCancelledError` and `TrainingFailedError`."""
        return train_network(
            model,
            dataset.train,
            dataset.validation,
            self.strategy.training,
            self._losses(dataset, self.capabilities.device),
            seed=self.seed,
            capabilities=self.capabilities,
            progress_callback=progress_callback,
            cancellation_token=cancellation_token,
            origins=origins,
            checkpoint_callback=checkpoint_callback,
        )

    def evaluate_model(self, trained: TrainedModel, dataset: Dataset) -> Evaluation:
        """Metrics of the test part, and what the report shows of it."""
        return evaluate(trained, dataset, self._losses(dataset, "cpu"), strategy=self.strategy, seed=self.seed)

    def save_model(
        self,
        trained: TrainedModel,
        dataset: Dataset,
        evaluation: Evaluation,
        histograms: Sequence[MembershipHistogram],
        output: Path,
    ) -> str:
        """Writes the model to the directory `output`, which must not exist yet; returns the model's digest."""
        return saved_model.save(
            output,
            self.specification,
            seed=self.seed,
            dataset=dataset,
            trained=trained,
            evaluation=evaluation,
            histograms=histograms,
        )

    def _losses(self, dataset: Dataset, device: str) -> SampleLosses:
        weights = None
        if dataset.classes and self.strategy.training.class_weights == "balanced":
            weights = balanced_class_weights(dataset.train.targets, len(dataset.classes)).to(device)
        return sample_losses(self.strategy.training.loss, weights)

    def _times(self, charts: Charts) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(charts[self.strategy.data.base_timeframe].index)
