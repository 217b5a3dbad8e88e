"""The bell: how many news wait, and the list of them."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Notification

PER_PAGE = 50


@never_cache
@require_GET
def count(request: HttpRequest) -> HttpResponse:
    """The bell with its number; a page asks for it by itself."""
    waiting = Notification.objects.filter(user=request.user, read_at=None).count()
    return render(request, "account/_bell.html", {"waiting": waiting})


@never_cache
@require_http_methods(["GET", "POST"])
def news(request: HttpRequest) -> HttpResponse:
    """One's news, the newest first; by POST, all of them are read."""
    mine = Notification.objects.filter(user=request.user)
    if request.method == "POST":
        mine.filter(read_at=None).update(read_at=timezone.now())
        return redirect("news")
    page = Paginator(mine, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "account/news.html", {"page_obj": page})


@require_POST
def open_one(request: HttpRequest, number: int) -> HttpResponse:
    """Read one, and go to what it tells of."""
    if number >= 2**63:
        return HttpResponseBadRequest("no such news")
    one = get_object_or_404(Notification, pk=number, user=request.user)
    Notification.objects.filter(pk=one.pk, read_at=None).update(read_at=timezone.now())
    return redirect(one.path)
