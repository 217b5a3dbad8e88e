"""Steps of a technician that span the case and its predictions, each in one transaction."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.cases import grouping
from apps.cases.models import Case, Patient
from apps.cases.services import CaseConflict, StillArriving, is_settled, lacks_announced, send_case
from apps.classifier.models import TrainingExample
from apps.classifier.services import request_predictions


@transaction.atomic
def send(
    case: Case,
    *,
    request: HttpRequest,
    revision: int,
    despite_arriving: bool = False,
    **sending: Any,
) -> None:
    """Send the case and queue its predictions; the workers hear of it once both are committed.

    `sending` is what send_case takes. Raises CaseConflict when the case changed in the meantime,
    and StillArriving while announced images of an unsettled study lack, unless `despite_arriving`.
    """
    if not case.study.series.exists():
        raise CaseConflict(_("There is no series in this case any more. Nothing was sent."))
    if not despite_arriving and not is_settled(case) and lacks_announced(case):
        raise StillArriving
    send_case(case, request=request, revision=revision, **sending)
    request_predictions(case)


def move_study(
    case: Case, patient: Patient, *, request: HttpRequest, revision: int, reason: str
) -> None:
    """As grouping.move_study; not once the patient decides on which side an image is learnt."""
    if TrainingExample.objects.filter(case=case).exists():
        raise CaseConflict(
            _(
                "Corrections of this case are used for learning under its present patient. Tell "
                "your admin; nothing was changed."
            )
        )
    grouping.move_study(case, patient, request=request, revision=revision, reason=reason)
