"""The text that Prometheus reads: its own format, or OpenMetrics where that is asked for.

Apart from the rest, because prometheus_client costs a tenth of a second that only the administrator's site
needs.
"""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.metrics.catalogue import BUCKETS, CATALOGUE, Kind, Metric
from app.metrics.scrape import Samples

_LIMITS = [*map(floatToGoString, BUCKETS), "+Inf"]


def expose(found: Mapping[Metric, Samples], accept: str) -> tuple[bytes, str]:
    """The body, and its media type: what *accept*, an Accept header, would have."""
    encode, media_type = choose_encoder(accept)
    return encode(_Found(found)), media_type


class _Found(Collector):
    """What was found, as prometheus_client takes it."""

    def __init__(self, found: Mapping[Metric, Samples]) -> None:
        self._found = found

    def collect(self) -> Iterator[Family]:
        """Each metric of the catalogue, without samples too: what it means is told from the first."""
        for metric in CATALOGUE:
            # A counter's family is called without its suffix (OpenMetrics 1.0, 5.1.1).
            family = Family(metric.name.removesuffix("_total"), f"{metric.help}.", metric.kind)
            for labels, numbers in sorted(self._found.get(metric, {}).items()):
                _add(family, metric, dict(zip(metric.labels, labels, strict=True)), numbers)
            yield family


def _add(family: Family, metric: Metric, labels: dict[str, str], numbers: Sequence[float]) -> None:
    if metric.kind is not Kind.HISTOGRAM:
        family.add_sample(metric.name, labels, numbers[0])
        return
    *counts, seconds = numbers
    so_far = 0.0
    for limit, count in zip(_LIMITS, counts, strict=True):
        so_far += count
        family.add_sample(f"{metric.name}_bucket", {**labels, "le": limit}, so_far)
    family.add_sample(f"{metric.name}_count", labels, so_far)
    family.add_sample(f"{metric.name}_sum", labels, seconds)
