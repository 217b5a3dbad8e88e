"""A release while people work: web and workers are exchanged as Kubernetes does it, and nothing
is lost. The times are those of k8s/base. Figures: pytest -m long tests/test_rolling_restart.py -s
"""

import http.client
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
import requests
import yaml
from django.core.management import call_command
from rest_framework.authtoken.models import Token

from apps.accounts.models import User
from apps.cases.models import Instance
from apps.cases.tests.factories import make_case, small_phantom, write_dicom
from apps.classifier.models import Finding, Prediction
from apps.classifier.services import request_predictions
from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom
from scripts.check_manifests import ROOT
from tests.people import People
from tests.system import System, empty_broker, eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.django_db(transaction=True),
]
REQUESTS, PREDICTIONS, CLIENTS, WEB, ROLLOUTS = 1000, 50, 6, 2, 2


def deployed(name: str) -> dict[str, Any]:
    """The pod of a Deployment in k8s/base."""
    objects = yaml.safe_load_all((ROOT / f"k8s/base/{name}.yaml").read_text())
    return next(one for one in objects if one["kind"] == "Deployment")["spec"]["template"]["spec"]


GRACE = {
    name: deployed(name)["terminationGracePeriodSeconds"] for name in ("web", "worker-inference")
}
PRE_STOP = int(deployed("web")["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])


class Service:
    """The ready web processes. Each request goes to the next one, once: nobody tries again."""

    def __init__(self) -> None:
        self._ready: list[str] = []
        self._number = count()

    def add(self, address: str) -> None:
        self._ready = [*self._ready, address]

    def remove(self, address: str) -> None:
        self._ready = [one for one in self._ready if one != address]

    def next(self) -> str:
        ready = self._ready
        return ready[next(self._number) % len(ready)]


@dataclass
class Load:
    """People who ask one thing after the other, over connections that stay open."""

    service: Service
    steps: list[Callable[[requests.Session, str], int]]
    wanted: dict[int, int] = field(default_factory=dict)
    answers: list[tuple[str, int | str]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        self._threads = [
            threading.Thread(target=self._ask, args=(number,), daemon=True)
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(60)

    def failed(self) -> list[tuple[str, int | str]]:
        return [one for one in self.answers if one[1] not in {200, 201}]

    def _ask(self, number: int) -> None:
        with requests.Session() as session:
            for turn in count(number):
                if self.stopped.is_set():
                    return
                self._one(self.steps[turn % len(self.steps)], session)

    def _one(self, step: Callable[[requests.Session, str], int], session: requests.Session) -> None:
        try:
            answer: int | str = step(session, self.service.next())
        except requests.RequestException as error:
            answer = type(error).__name__
        self.answers.append((step.__name__, answer))


def holder(user: User) -> dict[str, str]:
    return {"Authorization": f"Token {Token.objects.create(user=user).key}"}


@pytest.fixture
def steps(people: People, tmp_path: Path) -> list[Callable[[requests.Session, str], int]]:
    """What is asked in turn: the log-in page, the list of cases, a slice, an upload."""
    technician, doctor = holder(people.technician), holder(people.owner)
    case = make_case(people.home, status="sent", slices=2)
    slice_path = f"/api/v1/instances/{case.study.series.get().instances.first().public_id}/hu/"
    files: SimpleQueue[Path] = SimpleQueue()
    for path in write_dicom(tmp_path / "upload", phantom=small_phantom(slices=600)):
        files.put(path)

    def page(session: requests.Session, web: str) -> int:
        return session.get(f"{web}/accounts/login/", timeout=30).status_code

    def cases(session: requests.Session, web: str) -> int:
        return session.get(f"{web}/api/v1/cases/", headers=doctor, timeout=30).status_code

    def ct_slice(session: requests.Session, web: str) -> int:
        return session.get(web + slice_path, headers=doctor, timeout=30).status_code

    def upload(session: requests.Session, web: str) -> int:
        try:
            content = {"file": ("slice.dcm", files.get_nowait().read_bytes())}
        except Empty:
            return page(session, web)
        address = f"{web}/api/v1/uploads/"
        return session.post(address, headers=technician, files=content, timeout=30).status_code

    return [page, cases, ct_slice, upload]


@pytest.fixture
def pods(transactional_db, tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Makes one pod after the other; whatever still runs is ended."""
    made: list[System] = []

    def make(name: str, **changes: str) -> System:
        folder = tmp_path / f"pod-{len(made)}"
        folder.mkdir()
        made.append(System(folder, SWEEP_SECONDS="1", LEASE_SECONDS="3", **changes))
        return made[-1].start(name)

    empty_broker()
    yield make
    for pod in made:
        pod.stop()
    empty_broker()


def end(pod: System, name: str, *, grace: float) -> float:
    """SIGTERM, and after the grace SIGKILL, as the kubelet does; the seconds it took."""
    began = time.monotonic()
    process = pod.processes[name]
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(grace) == 0, pod.log(name)[-2000:]
    finally:
        pod.kill(name)
    return time.monotonic() - began


def is_ready(pod: System) -> bool:
    return requests.get(f"{pod.base_url}/readyz", timeout=10).status_code == 200


def retire(pod: System, service: Service) -> None:
    """What happens to a pod that goes: its address is forgotten while preStop waits."""
    time.sleep(PRE_STOP * 0.6)  # the Ingress hears of it late
    service.remove(pod.base_url)
    time.sleep(PRE_STOP * 0.4)
    end(pod, "web", grace=GRACE["web"] - PRE_STOP)


class SlowUpload(threading.Thread):
    """One file over a slow line, begun on a pod that is about to go."""

    def __init__(self, pod: System, content: bytes, headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.port, self.content, self.headers = pod.port, content, headers
        self.status: int | str = "no answer"
        self.begun = threading.Event()

    def run(self) -> None:
        head = (
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="slow.dcm"\r\n'
            b"Content-Type: application/dicom\r\n\r\n"
        )
        body = head + self.content + b"\r\n--edge--\r\n"
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        line.putrequest("POST", "/api/v1/uploads/")
        told = {"Content-Type": "multipart/form-data; boundary=edge", "Content-Length": len(body)}
        for name, value in {**self.headers, **told}.items():
            line.putheader(name, str(value))
        line.endheaders()
        self.begun.set()
        pieces = 40  # over ten seconds: twice as long as preStop waits
        size = -(-len(body) // pieces)
        for at in range(0, len(body), size):
            line.send(body[at : at + size])
            time.sleep(2 * PRE_STOP / pieces)
        self.status = line.getresponse().status


def test_no_request_of_a_thousand_fails_while_web_processes_are_replaced(
    people: People, steps, pods, tmp_path: Path
):
    call_command("load_models", verbosity=0)
    slow_files = write_dicom(tmp_path / "slow", phantom=small_phantom(slices=WEB * ROLLOUTS))
    slow_sender = holder(people.foreign_technician)
    service = Service()
    running = [pods("web") for _ in range(WEB)]
    for pod in running:
        eventually(lambda pod=pod: is_ready(pod), what="a ready pod")
        service.add(pod.base_url)
    slow: list[SlowUpload] = []
    with Load(service, steps) as load:
        for path in slow_files:
            new = pods("web")
            eventually(lambda new=new: is_ready(new), what="a ready pod")
            service.add(new.base_url)
            old = running.pop(0)
            slow.append(SlowUpload(old, path.read_bytes(), slow_sender))
            slow[-1].start()
            slow[-1].begun.wait(10)
            retire(old, service)
            running.append(new)
        eventually(lambda: len(load.answers) >= REQUESTS, seconds=300, what="the requests")
    for one in slow:
        one.join(60)
    uploaded = sum(name == "upload" and status == 201 for name, status in load.answers)
    print(  # noqa: T201  the figures
        f"\n{len(load.answers)} requests while {len(slow_files)} web pods were replaced: "
        f"{len(load.failed())} failed; {uploaded} uploads acknowledged, "
        f"{sum(one.status == 201 for one in slow)} of {len(slow)} slow ones"
    )
    assert load.failed() == []
    assert [one.status for one in slow] == [201] * len(slow)
    assert uploaded > 100
    received = Instance.objects.filter(received_from=people.technician).values_list("sha256")
    assert received.count() == len(set(received)) == uploaded + 2  # and the case's own two


def test_the_measurement_sees_a_web_process_that_does_not_drain(people: People, steps, pods):
    service = Service()
    running = [pods("web", WEB_WORKERS="1") for _ in range(WEB)]
    for pod in running:
        service.add(pod.base_url)
    with Load(service, steps) as load:
        eventually(lambda: len(load.answers) > 50, what="the load")
        running[0].kill("web")
        eventually(load.failed, what="a request that fails")


def test_no_prediction_of_fifty_is_lost_while_workers_are_replaced(people: People, pods):
    call_command("load_models", verbosity=0)
    nodule = Nodule((-75.0, -20.0, 0.0), 19.0)
    phantom = chest_phantom(PhantomSpec(slices=8, matrix=256, slice_spacing=8.0, nodules=(nodule,)))
    cases = [make_case(people.home, status="sent", phantom=phantom) for _ in range(PREDICTIONS)]
    for case in cases:
        request_predictions(case)
    open_ones = Prediction.objects.filter(status__in=["queued", "running"])
    beat = pods("beat")
    worker, ends = pods("worker-inference"), []
    while (left := open_ones.count()) > PREDICTIONS // 5:
        eventually(lambda left=left: open_ones.count() < left, seconds=60, what="an answer")
        new = pods("worker-inference")
        grace = 0.3 if len(ends) == 1 else GRACE["worker-inference"]
        try:
            ends.append(end(worker, "worker-inference", grace=grace))
        except Exception:  # the grace of one is too short on purpose: it is killed in its work
            if grace > 1:
                raise
            ends.append(grace)
        worker = new
    eventually(lambda: not open_ones.exists(), seconds=300, what="every prediction's end")
    assert beat.runs("beat")
    ended = list(Prediction.objects.values_list("status", "attempts", "pk"))
    print(  # noqa: T201  the figures
        f"\n{PREDICTIONS} predictions while {len(ends)} workers were replaced, one of them killed: "
        f"{sum(status == 'done' for status, *_ in ended)} done, "
        f"{sum(attempts > 1 for _, attempts, _ in ended)} begun twice; "
        f"slowest polite end {max(ends):.1f} s"
    )
    assert len(ended) == PREDICTIONS
    assert {status for status, *_ in ended} == {"done"}
    assert len(ends) >= 3
    for *_, pk in ended:
        numbers = list(Finding.objects.filter(prediction=pk).values_list("number", flat=True))
        assert numbers == list(range(1, len(numbers) + 1))
