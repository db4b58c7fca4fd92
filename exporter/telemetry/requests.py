"""How long requests took: a histogram that costs a request less than a microsecond."""

from __future__ import annotations

from bisect import bisect_left
from http import HTTPMethod
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LE = (*map(str, BUCKETS), "+Inf")
_METHODS = frozenset(HTTPMethod)


class _Series:
    """Requests alike."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * len(_LE)
        """By bucket."""
        self.seconds = 0.0


class RequestDurations:
    """Durations by handler, method and status code.

    prometheus-client's own Histogram takes a lock and a look-up for each label and bucket, at several times the cost.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, int], _Series] = {}

    def observe(self, handler: str, method: str, code: int, seconds: float) -> None:
        """Note one request. A method that HTTP does not have is `unknown`: callers could invent any number of them."""
        series = self._series.get((handler, method, code))
        if series is None:
            key = (handler, method if method in _METHODS else "unknown", code)
            series = self._series.setdefault(key, _Series())
        series.counts[bisect_left(BUCKETS, seconds)] += 1
        series.seconds += seconds

    def family(self, name: str, documentation: str) -> HistogramMetricFamily:
        """The histogram as it stands."""
        family = HistogramMetricFamily(name, documentation, labels=("handler", "method", "code"))
        for (handler, method, code), series in self._series.items():
            buckets = [(le, float(count)) for le, count in zip(_LE, accumulate(series.counts), strict=True)]
            family.add_metric((handler, method, str(code)), buckets, series.seconds)
        return family
