"""The demo's cases: synthetic patients, so that a newcomer without data sees everything."""

from dataclasses import dataclass
from pathlib import Path

from apps.cases.models import Case
from apps.imaging.phantom import (
    Nodule,
    Phantom,
    PhantomSpec,
    abdomen_phantom,
    chest_phantom,
    write_series,
)


@dataclass(frozen=True)
class Sample:
    """One synthetic case. Without a clinical question it waits as the technician's draft."""

    patient_id: str
    patient_name: str
    spec: PhantomSpec
    chest: bool = True
    question: str = ""
    priority: int = Case.Priority.ROUTINE

    def build(self) -> Phantom:
        return chest_phantom(self.spec) if self.chest else abdomen_phantom(self.spec)


SAMPLES = [
    Sample(
        "PHANTOM-1",
        "PHANTOM^Ada",
        PhantomSpec(
            seed=11,
            slices=30,
            slice_spacing=5.0,
            nodules=(
                Nodule((-75.0, -20.0, 22.0), 19.0, spiculated=True),
                Nodule((70.0, 25.0, -18.0), 8.0),
            ),
        ),
        question="Cough for six weeks, weight loss. Nodule?",
        priority=Case.Priority.URGENT,
    ),
    Sample(
        "PHANTOM-2",
        "PHANTOM^Ben",
        PhantomSpec(seed=12, slices=12, slice_spacing=8.0),
        chest=False,
        question="Sent by mistake as a chest study?",
    ),
    Sample(
        "PHANTOM-3",
        "PHANTOM^Cleo",
        PhantomSpec(
            seed=13,
            slices=24,
            slice_spacing=6.0,
            contrast=True,
            nodules=(Nodule((80.0, 10.0, 6.0), 12.0),),
        ),
    ),
]


def write_sample(sample: Sample, folder: Path) -> list[Path]:
    """Write the sample as DICOM files, the same bytes every time."""
    return write_series(
        sample.build(), folder, patient_id=sample.patient_id, patient_name=sample.patient_name
    )
