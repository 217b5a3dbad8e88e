"""The first page of operations, failures asked again, and the audit trail."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.permissions import Permission, require
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import AccessGrant
from apps.classifier.models import Prediction
from apps.classifier.services import retry_prediction
from apps.operations.audit_csv import audit_lines
from apps.operations.forms import AuditFilterForm
from apps.operations.overview import in_words, overview
from apps.operations.trends import trends

AUDIT_ROWS = 50


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def home(request: HttpRequest) -> HttpResponse:
    """How the system does, at a glance, and what waits for an admin."""
    return render(request, "operations/home.html", {**overview(), "trends": trends()})


@never_cache
@require_GET
@require(Permission.MANAGE_MODELS)
def state(request: HttpRequest) -> HttpResponse:
    """The part of the first page that changes by itself."""
    return render(request, "operations/_state.html", overview())


@require_POST
@require(Permission.RETRY_PREDICTION)
@require(Permission.MANAGE_MODELS)
def retry(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask again where a prediction failed."""
    prediction = get_object_or_404(Prediction, public_id=public_id, shadow=False)
    if retry_prediction(prediction, request=request):
        messages.success(request, "Asked again; the answer appears on the doctor's page.")
    else:
        messages.info(request, "This prediction is no longer failed. Nothing was changed.")
    return redirect("operations:home")


@never_cache
@require_GET
@require(Permission.USE_ADMIN)
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what, to what, when, from where."""
    form = AuditFilterForm(request.GET)
    events = _filtered(form.cleaned_data) if form.is_valid() else AuditEvent.objects.none()
    page = Paginator(events, AUDIT_ROWS).get_page(request.GET.get("page"))
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "form": form,
        "page_obj": page,
        "events": in_words(page),
        "query": query.urlencode(),
        "grants": AccessGrant.objects.filter(expires_at__gt=timezone.now()).select_related("user"),
        "break_glass": AuditEvent.Action.BREAK_GLASS.value,
    }
    return render(request, "operations/audit.html", context, status=200 if form.is_valid() else 422)


@require_POST
@require(Permission.USE_ADMIN)
def export_audit(request: HttpRequest) -> HttpResponse:
    """The rows that the filters find, as CSV; the export is a row of the trail itself."""
    form = AuditFilterForm(request.POST)
    if not form.is_valid():
        return render(request, "operations/audit.html", {"form": form}, status=422)
    wanted = {name: str(value) for name, value in form.cleaned_data.items() if value}
    events = _filtered(form.cleaned_data)
    newest = events.values_list("pk", flat=True).first() or 0
    record(AuditEvent.Action.AUDIT_EXPORTED, request=request, filters=wanted, rows=events.count())
    response = StreamingHttpResponse(
        audit_lines(events.filter(pk__lte=newest)), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    response["Cache-Control"] = "no-store"
    return response


def _filtered(wanted: dict) -> QuerySet[AuditEvent]:
    conditions = {
        "action": wanted["action"],
        "actor__icontains": wanted["actor"],
        "actor_role": wanted["role"],
        "target_type": wanted["target_type"],
        "target_id": wanted["target_id"],
        "address": wanted["address"],
        "at__date__gte": wanted["since"],
        "at__date__lte": wanted["until"],
    }
    return AuditEvent.objects.filter(**{name: value for name, value in conditions.items() if value})
