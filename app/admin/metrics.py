"""``/metrics``: what Prometheus scrapes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bottle import Bottle, HTTPResponse, request

from app.admin.gate import METRICS
from app.http.answers import guarded, refuse, reply
from app.http.rounds import read_elsewhere

if TYPE_CHECKING:
    from app.metrics.catalogue import Metric
    from app.metrics.scrape import Samples


class MetricsPage:
    """Answers with what *look* finds, which may take as long as a database that hangs."""

    def __init__(self, look: "Callable[[], Mapping[Metric, Samples]]") -> None:
        # A tenth of a second that no other verb needs; before the fork, so that it is spent once.
        from app.metrics.exposition import expose

        self._look = look
        self._expose = expose

    def add_to(self, web: Bottle) -> None:
        """Lay the route."""
        web.route(METRICS, "GET", guarded(self._scrape))

    def _scrape(self) -> HTTPResponse:
        accept = request.environ.get("HTTP_ACCEPT", "")
        scraped = read_elsewhere(lambda: self._expose(self._look(), accept))
        if scraped is None:
            return refuse(503, "too many scrapes at once; try again", Retry_After="5")
        body, media_type = scraped
        return reply(body, media_type, store=False)
