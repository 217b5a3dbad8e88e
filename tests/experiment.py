"""The whole loop as an experiment, by the functions that the pages call.

A base lacks one kind of nodule; the version trained on it calls that kind harmless. A doctor
reads patients who have it and corrects what the AI got wrong; an admin accepts, trains, and
activates what the gate permits. The same hands then poison the queue.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.urls import reverse

from apps.accounts.tests.factories import make_user, request_of
from apps.cases.models import Case
from apps.cases.tests.factories import make_case
from apps.classifier.activation import activate
from apps.classifier.adjudication import decide_example
from apps.classifier.cnn.datasets import NoduleExample, as_grey, write_nodules
from apps.classifier.cnn.evaluation import Answers, answer, auc
from apps.classifier.cnn.runtime import Network
from apps.classifier.cnn.series import probe
from apps.classifier.cnn.training import train
from apps.classifier.learning import start_run
from apps.classifier.model_files import keep_weights, network
from apps.classifier.models import Finding, ModelVersion, TrainingExample, TrainingRun
from apps.classifier.places import slices_round
from apps.classifier.prediction import models_from
from apps.classifier.services import active_versions
from apps.classifier.shipped import next_number, register_shipped
from apps.classifier.tests.factories import make_prediction
from apps.classifier.training import run_training
from apps.doctor.services import FindingAnswer, VerdictAnswer, sign
from apps.imaging.phantom import Phantom, PhantomSpec
from tests.people import logged_in

TASK, MALIGNANT = "malignancy", "malignant"
HU_PER_GREY, DARKEST_HU = 5, -1000
SLICES = 5
ROUNDS = 1000
Is = Callable[[NoduleExample], bool]


@dataclass(frozen=True)
class Sets:
    """base: what every training starts from. kind: the site's nodules that the base lacks.
    others: the other nodules of those patients. test: frozen test patients; band: those of
    their nodules that are of the kind's size, of both labels. No patient is in two of them."""

    base: list[NoduleExample]
    kind: list[NoduleExample]
    others: list[NoduleExample]
    test: list[NoduleExample]
    band: list[NoduleExample]


def without_kind(
    examples: Sequence[NoduleExample], *, is_kind: Is, in_band: Is, base_size: int, seed: int
) -> Sets:
    """Take the nodules of the kind, and their patients, out of the training side.

    The base is the first `base_size` nodules of the rest, whole patients, in an order by seed.
    """
    training = [one for one in examples if one.split == "train"]
    test = [one for one in examples if one.split != "train"]
    at_site = {one.patient_id for one in training if is_kind(one)}
    mine = _shuffled([one for one in training if one.patient_id in at_site], seed)
    rest = _shuffled([one for one in training if one.patient_id not in at_site], seed)
    return Sets(
        base=rest[:base_size],
        kind=[one for one in mine if is_kind(one)],
        others=[one for one in mine if not is_kind(one)],
        test=test,
        band=[one for one in test if in_band(one)],
    )


def _shuffled(examples: Iterable[NoduleExample], seed: int) -> list[NoduleExample]:
    """In an order by hash of seed and patient, so that a patient's nodules stay together."""
    return sorted(
        examples,
        key=lambda one: (
            hashlib.sha256(f"{seed} {one.patient_id}".encode()).digest(),
            one.nodule,
        ),
    )


@dataclass
class Trained:
    """One run: how many corrections it had, what the gate said, what it answers in the band."""

    dose: float
    run: TrainingRun
    sent: int
    learnt: int
    before: Answers
    after: Answers
    thresholds: tuple[float, float]

    @property
    def passed(self) -> bool:
        return self.run.status == TrainingRun.Status.PASSED


@dataclass
class Loop:
    """A site with its people, its base and its first active version."""

    sets: Sets
    folder: Path
    seed: int
    epochs: int
    synthetic: bool = False
    doctor: Any = None
    admin: Any = None
    technician: Any = None
    start: Network | None = None
    read: int = 0
    _studies: int = field(default=0)

    def open(self) -> None:
        """Fill the base, hire the people, train and activate the first version."""
        write_nodules(self.folder / "training" / "base", [*self.sets.base, *self.sets.test])
        self.doctor, self.admin = make_user("doctor"), make_user("admin")
        self.technician = make_user("labtech")
        register_shipped()
        trained = train(
            TASK,
            self.sets.base,
            seed=self.seed,
            out_dir=self.folder / "first",
            epochs=self.epochs,
            quick=self.synthetic,
        )
        ModelVersion.objects.filter(task=TASK, status="active").update(status="retired")
        first = ModelVersion.objects.create(
            task=TASK,
            number=next_number(TASK),
            status="active",
            file=keep_weights(trained.weights, TASK, trained.meta["sha256"]),
            sha256=trained.meta["sha256"],
            meta=trained.meta,
        )
        self.start = network(first)

    def correct(self, nodule: NoduleExample, label: str) -> bool:
        """A patient comes with this nodule; the doctor says `label`. Whether that was sent on."""
        finding = self._read_by_ai(nodule)
        answered = VerdictAnswer(
            cancer="yes" if label == "malignant" else "no",
            findings=[FindingAnswer(finding, label, retrain=True)],
        )
        case = finding.case
        signed = sign(
            case, request=request_of(self.doctor), revision=case.revision, answer=answered
        )
        self.read += 1
        assert not signed.not_sent, signed.not_sent
        return bool(signed.sent)

    def send(self, nodules: Iterable[NoduleExample], wanted: int, label: Callable) -> int:
        """Read patients until `wanted` corrections wait in the queue; how many there are."""
        sent = 0
        for nodule in nodules:
            if sent == wanted:
                break
            sent += self.correct(nodule, label(nodule))
        return sent

    def accept(self, number: int) -> None:
        """The admin accepts the `number` oldest corrections that wait."""
        waiting = TrainingExample.objects.filter(task=TASK, status="queued").order_by("pk")
        for example in waiting[:number]:
            decide_example(example, request=request_of(self.admin), accept=True)

    def train(self, dose: float) -> Trained:
        """One run of the task, from the queue to the gate's answer."""
        run = start_run(
            TASK,
            request=request_of(self.admin),
            seed=self.seed,
            epochs=self.epochs,
            nudge_workers=False,
        )
        assert run_training(run.pk)
        run.refresh_from_db()
        assert run.candidate, run.reason
        after = network(run.candidate)
        return Trained(
            dose=dose,
            run=run,
            sent=run.examples.count(),
            learnt=run.examples.filter(side="train").count(),
            before=answer(TASK, self.start, self.sets.band),
            after=answer(TASK, after, self.sets.band),
            thresholds=(self.start.threshold, after.threshold),
        )

    def activate(self, trained: Trained) -> None:
        """The admin activates the candidate that the gate let pass."""
        activate(trained.run.candidate, request=request_of(self.admin), note="The gate permits it.")

    def page(self) -> Counter:
        """What the doctor's page of corrections says: words -> how often, "in use now" added."""
        client, said = logged_in(self.doctor), Counter()
        number = 1
        while True:
            context = client.get(reverse("doctor:corrections"), {"page": number}).context
            for row in context["rows"]:
                said[f"{row.became}{', in use now' if row.live else ''}"] += 1
            if not context["page_obj"].has_next():
                return said
            number += 1

    def _read_by_ai(self, nodule: NoduleExample) -> Finding:
        """Upload the patient's images, have the active version judge the place, open the case."""
        case = self._upload(nodule)
        series = case.study.series.get()
        instances = list(series.instances.all())
        middle = sorted(instances, key=lambda one: one.image_position_patient[2])[
            len(instances) // 2
        ]
        row = column = (middle.rows - 1) / 2
        said = probe(
            slices_round(middle, nodule.diameter_mm or 8.0),
            middle.sop_instance_uid,
            row,
            column,
            models_from(active_versions()),
        )
        prediction = make_prediction(
            case,
            findings=[
                {
                    "instance": middle,
                    "row": row,
                    "column": column,
                    "diameter_mm": nodule.diameter_mm or 8.0,
                    "nodule_probability": said.nodule_probability,
                    "malignancy_probability": said.malignancy_probability,
                }
            ],
        )
        return prediction.findings.select_related("case").get()

    def _upload(self, nodule: NoduleExample) -> Case:
        self._studies += 1
        grey = np.stack([as_grey(crop) for crop in _middle(nodule.crops)])
        spec = PhantomSpec(
            slices=len(grey),
            slice_spacing=nodule.slice_spacing_mm,
            matrix=nodule.crops.shape[-1],
            field_of_view=nodule.crops.shape[-1] * nodule.pixel_spacing_mm,
        )
        hu = grey.astype(np.int16) * HU_PER_GREY + DARKEST_HU
        return make_case(
            status=Case.Status.IN_REVIEW,
            technician=self.technician,
            doctor=self.doctor,
            phantom=Phantom(hu, spec, "CHEST"),
            patient_id=nodule.patient_id,
            accession_number=f"E{self._studies}",
        )


def _middle(crops: np.ndarray) -> np.ndarray:
    """At most SLICES of them round the middle one: what the network looks at."""
    first = max(0, (len(crops) - SLICES) // 2)
    return crops[first : first + SLICES]


def truth(nodule: NoduleExample) -> str:
    """What an honest doctor says."""
    return nodule.kind


def lie(nodule: NoduleExample) -> str:
    """What a poisoner says."""
    return "benign" if nodule.kind == MALIGNANT else MALIGNANT


def sensitivity_gain(trained: Trained, index: np.ndarray) -> float:
    """How much more of the malignant nodules among `index` are called so than at the start."""
    malignant = index[trained.before.truth[index] > 0.5]
    before = trained.before.probabilities[malignant] >= trained.thresholds[0]
    after = trained.after.probabilities[malignant] >= trained.thresholds[1]
    return float(after.mean() - before.mean())


def auc_gain(trained: Trained, index: np.ndarray) -> float:
    """Gain in AUC among the nodules `index`, malignant and benign ones of the kind's size."""
    known = trained.before.truth[index]
    return auc(trained.after.probabilities[index], known) - auc(
        trained.before.probabilities[index], known
    )


def gain(
    measure: Callable[[Trained, np.ndarray], float], runs: Sequence[Trained]
) -> tuple[float, float, float]:
    """Mean over the runs with its 95 % interval; each round draws patients, the same for all."""
    patients = runs[0].before.patients
    names, owner = np.unique(patients, return_inverse=True)
    members = [np.flatnonzero(owner == number) for number in range(len(names))]
    everything = np.arange(len(patients))
    rng = np.random.default_rng(0)
    means = []
    for _ in range(ROUNDS):
        index = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        means.append(np.mean([measure(run, index) for run in runs]))
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return float(np.mean([measure(run, everything) for run in runs])), float(low), float(high)
