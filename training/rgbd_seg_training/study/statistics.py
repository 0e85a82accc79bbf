"""Means, deviations and paired differences over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Summary:
    """Figures of one variant.

    Attributes:
        mean: over seeds.
        deviation: standard deviation over seeds (n - 1), NaN for one seed.
        count: seeds.
        difference: mean of the differences to the baseline at the same seed, NaN without a common seed.
        interval: half width of the 95 % confidence interval of that mean (Student's t), NaN for fewer than two seeds.
    """

    mean: float
    deviation: float
    count: int
    difference: float
    interval: float

    @property
    def beats_chance(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return not math.isnan(self.interval) and abs(self.difference) > self.interval


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def summarise(values: Mapping[int, float], baseline: Mapping[int, float]) -> Summary:
    """Figures of one variant: seed -> value, against the baseline's seed -> value."""
    differences = [values[s] - baseline[s] for s in sorted(values.keys() & baseline.keys())]
    interval = math.nan
    if len(differences) > 1:
        quantile = float(stats.t.ppf(0.975, len(differences) - 1))
        interval = quantile * _deviation(differences) / math.sqrt(len(differences))
    return Summary(
        float(np.mean(list(values.values()))) if values else math.nan,
        _deviation(list(values.values())),
        len(values),
        float(np.mean(differences)) if differences else math.nan,
        interval,
    )
