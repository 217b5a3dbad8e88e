"""Two addresses for probes: alive, and ready to serve; beside them /metrics."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache

from cancerprediction.metrics import metrics
from cancerprediction.parts import parts


@never_cache
@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Everything that serving needs answers; 503 names the parts that do not."""
    found = parts()
    return JsonResponse(found, status=200 if all(found.values()) else 503)


urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
