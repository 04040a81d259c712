"""What a Prometheus server sees: the text of /metrics, read by its own client's parsers."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Scraped:
    """The samples of a scrape by name and labels."""

    families: tuple[Metric, ...]

    @classmethod
    def read(cls, body: bytes) -> "Scraped":
        """Read the text format."""
        return cls(tuple(text_string_to_metric_families(body.decode())))

    def samples(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """The values of *name* that have *labels*, by those of the other labels in their names' order."""
        found: dict[tuple[str, ...], float] = {}
        for family in self.families:
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found[_rest(sample.labels, labels)] = sample.value
        return found

    def counted(self, name: str, **labels: str) -> dict[tuple[str, ...], float]:
        """The same, without what is at zero."""
        return {rest: value for rest, value in self.samples(name, **labels).items() if value}

    def value(self, name: str, **labels: str) -> float | None:
        """The one value of *name* that has *labels*; None where there is none."""
        values = list(self.samples(name, **labels).values())
        assert len(values) <= 1, values
        return values[0] if values else None

    def total(self, name: str, **labels: str) -> float:
        """The sum of all values of *name* that have *labels*."""
        return sum(self.samples(name, **labels).values())


def _rest(labels: Mapping[str, str], but: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value for name, value in sorted(labels.items()) if name not in but)
