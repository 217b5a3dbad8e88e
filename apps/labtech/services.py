"""Steps of a technician that span the case and its predictions, each in one transaction."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest

from apps.cases.models import Case
from apps.cases.services import StillArriving, is_settled, lacks_announced, send_case
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
    if not despite_arriving and not is_settled(case) and lacks_announced(case):
        raise StillArriving
    send_case(case, request=request, revision=revision, **sending)
    request_predictions(case)
