"""Keeping what people measure: one row each, changed and deleted by its author only."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, Instance, Measurement, Series
from apps.cases.pictures import hu_of
from apps.imaging import measuring
from apps.imaging.geometry import patient_point

Kind = Measurement.Kind
POINTS = {Kind.LENGTH: 2, Kind.BIDIRECTIONAL: 4, Kind.ELLIPSE: 4, Kind.PROBE: 1}
MOST_PER_SERIES = 500


class MeasurementConflict(Exception):
    """It cannot be stored as asked; `message` says why in plain words."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def measurements_of(series: Series, user: User | None = None) -> QuerySet[Measurement]:
    """What anybody measured on the series and nobody deleted, oldest first.

    For a `user`, while two doctors read apart from each other: no other doctor's.
    """
    kept = Measurement.objects.kept().filter(instance__series=series)
    if user and series.study.case.is_read_apart:
        kept = kept.exclude(~Q(author=user), author__role=Role.DOCTOR)
    return kept.select_related("author", "instance")


def own_measurement(public_id: UUID, user: User) -> Measurement | None:
    """A measurement of theirs, deleted or not, on a case to which they may still add."""
    own = Measurement.objects.filter(
        author=user, instance__series__study__case__in=Case.objects.workable_by(user)
    )
    return (
        own.select_related("instance__series__study", "author").filter(public_id=public_id).first()
    )


def values_of(instance: Instance, kind: str, points: list) -> dict[str, Any]:
    """What the measurement says. Raises OSError or Refusal when the file cannot be read."""
    spacing = tuple(instance.pixel_spacing or (1.0, 1.0))
    unit = "mm" if instance.pixel_spacing else "px"
    if kind == Kind.LENGTH:
        return {"unit": unit, "length": measuring.length(points, spacing)}
    if kind == Kind.BIDIRECTIONAL:
        long_axis, short_axis = measuring.two_axes(points, spacing)
        return {"unit": unit, "long_axis": long_axis, "short_axis": short_axis}
    if kind == Kind.ELLIPSE:
        return {"unit": unit, **measuring.ellipse(hu_of(instance), points, spacing)}
    value = measuring.value_at(hu_of(instance), points[0])
    return {"unit": unit, "hu": value, "position_mm": _position(instance, points[0])}


def _position(instance: Instance, point: list[float]) -> list[float] | None:
    """Patient mm of the centre of the pixel that the point lies in."""
    geometry = {
        "position": instance.image_position_patient,
        "orientation": instance.image_orientation_patient,
        "spacing": instance.pixel_spacing,
    }
    if not all(geometry.values()):
        return None
    row, column = (measuring.nearest(coordinate) for coordinate in point)
    return list(patient_point(row, column, **geometry))


def add_measurement(
    instance: Instance, *, request: HttpRequest, public_id: UUID, kind: str, points: list
) -> tuple[Measurement, bool]:
    """Keep a measurement under the id that the browser chose; the same id again changes nothing.

    So a request repeated after a lost answer stores it once. True says that it is new. Raises
    MeasurementConflict when the id is another's or the series holds too many.
    """
    if measurements_of(instance.series).count() >= MOST_PER_SERIES:
        raise MeasurementConflict("This series has too many measurements. Delete some first.")
    values = values_of(instance, kind, points)
    try:
        with transaction.atomic():
            made = Measurement.objects.create(
                public_id=public_id,
                instance=instance,
                author=request.user,
                kind=kind,
                points=points,
                values=values,
            )
            _note(made, request, "added")
    except IntegrityError:
        return _known(public_id, instance, request.user), False
    return made, True


def _known(public_id: UUID, instance: Instance, user: User) -> Measurement:
    known = Measurement.objects.filter(
        public_id=public_id, instance=instance, author=user, deleted_at__isnull=True
    ).first()
    if known is None:
        raise MeasurementConflict("This measurement was deleted, or its id is taken.")
    return known


def change_measurement(
    measurement: Measurement, *, request: HttpRequest, revision: int, points: list
) -> None:
    """Move its points. Raises MeasurementConflict when another window was faster."""
    values = values_of(measurement.instance, measurement.kind, points)
    row = Measurement.objects.kept().filter(pk=measurement.pk, revision=revision)
    changes = {"points": points, "values": values, "changed_at": timezone.now()}
    with transaction.atomic():
        if not row.update(revision=F("revision") + 1, **changes):
            raise MeasurementConflict(
                "This measurement was changed or deleted in another window. "
                "Nothing of yours was stored; reload to see it."
            )
        _note(measurement, request, "changed")
    measurement.refresh_from_db()


@transaction.atomic
def delete_measurement(measurement: Measurement, *, request: HttpRequest) -> None:
    """Take it off the images; deleting again changes nothing."""
    row = Measurement.objects.kept().filter(pk=measurement.pk)
    if row.update(deleted_at=timezone.now(), revision=F("revision") + 1):
        _note(measurement, request, "deleted")


def _note(measurement: Measurement, request: HttpRequest, what: str) -> None:
    record(
        AuditEvent.Action.MEASURED,
        request=request,
        target=measurement,
        site_pk=measurement.instance.site_id,
        what=what,
        kind=measurement.kind,
    )
