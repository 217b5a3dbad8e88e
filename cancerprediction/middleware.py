"""A line and a measurement for each request: what was asked, never about whom."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from cancerprediction.logs import request_id
from cancerprediction.metrics import REQUEST_SECONDS

log = logging.getLogger("cancerprediction.request")
_HARMLESS = re.compile(r"[A-Za-z0-9-]{8,64}")
_PROBES = {"healthz", "readyz", "metrics"}


class RequestLog:
    """Gives the request its id, and says how it ended under its route, which holds no id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        # The ingress' own id, so that its log and ours can be laid side by side.
        given = request.headers.get("X-Request-ID", "")
        mark = request_id.set(given if _HARMLESS.fullmatch(given) else uuid.uuid4().hex)
        try:
            response = self.get_response(request)
            response.headers["X-Request-ID"] = request_id.get()
            self._note(request, response, time.perf_counter() - start)
            return response
        finally:
            request_id.reset(mark)

    def _note(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        match = request.resolver_match
        route = match.route if match else ("static" if response.streaming else "none")
        if route in _PROBES:
            return
        method = request.method if request.method in _METHODS else "OTHER"
        REQUEST_SECONDS.labels(method, route, response.status_code).observe(seconds)
        facts = {"status": response.status_code, "ms": round(seconds * 1000)}
        log.info("%s %s %s", method, route, response.status_code, extra={"facts": facts})


_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
