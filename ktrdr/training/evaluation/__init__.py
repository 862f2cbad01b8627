"""How good a model is on samples that it never saw: metrics, trades, calibration, importance, plain warnings.

Imports numpy and torch.
"""

from ktrdr.training.evaluation.evaluation import Evaluation, evaluate
from ktrdr.training.evaluation.metrics import Metrics, classification_metrics, regression_metrics

__all__ = ["Evaluation", "Metrics", "classification_metrics", "evaluate", "regression_metrics"]
