"""Traces leave only where a collector is named, and say nothing about anybody."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from apps.accounts.tests.factories import request_of
from apps.cases.services import send_case
from apps.cases.tests.factories import make_case
from apps.classifier.services import request_predictions
from cancerprediction.tracing import _MAY_LEAVE
from tests.people import People
from tests.system import System, environment, eventually


class Collector(HTTPServer):
    """Takes spans as an OpenTelemetry collector does, and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.spans: list = []


class _Take(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raise NotImplementedError
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.timeout(120)
def test_requests_and_tasks_are_traced_without_a_value_of_anybody(
    transactional_db, people: People, collector: Collector, tmp_path
):
    case = make_case(people.home, patient_name="ZZYZX^Quentin")
    send_case(case, request=request_of(people.technician), revision=1)
    address = f"http://127.0.0.1:{collector.server_port}"
    system = System(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_BSP_SCHEDULE_DELAY="200")
    try:
        system.start("web", "worker-inference")
        requests.get(f"{system.base_url}/accounts/login/?search=ZZYZX", timeout=20)
        request_predictions(case)
        wanted = {"GET accounts/login/", "run/apps.classifier.tasks.predict"}
        eventually(
            lambda: wanted <= {span.name for span in collector.spans},
            seconds=60,
            what=f"the traces; there are {[span.name for span in collector.spans]}",
        )
    finally:
        system.stop()
    assert {one.key for span in collector.spans for one in span.attributes} <= _MAY_LEAVE
    assert not any(span.events for span in collector.spans)
    assert "zzyzx" not in str(collector.spans).lower()


def test_nothing_of_it_is_loaded_without_a_collector():
    code = (
        "import cancerprediction.wsgi, sys; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(DEMO="0"), check=False)
    assert done.returncode == 0
