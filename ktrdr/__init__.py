"""ktrdr trains neuro-fuzzy trading models as jobs; its event log is the truth."""

__version__ = "0.1.0"
