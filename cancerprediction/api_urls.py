"""/api/v1/: what the portals do, for programs, with its schema and a page to read it."""

from django.contrib.auth.decorators import login_required
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated

schema = SpectacularAPIView.as_view(permission_classes=[IsAuthenticated])
docs = SpectacularSwaggerSplitView.as_view(url_name="schema", permission_classes=[IsAuthenticated])

urlpatterns = [
    path("", include("apps.cases.api_urls")),
    path("", include("apps.labtech.api_urls")),
    path("", include("apps.doctor.api_urls")),
    path("", include("apps.operations.api_urls")),
    path("schema/", schema, name="schema"),
    path("docs/", login_required(docs), name="api_docs"),
]
