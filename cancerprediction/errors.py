"""What a program is told in JSON where a person gets a page, for errors outside the API's views."""

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request could not be read at all; nothing was done."""
    if _is_api(request):
        return JsonResponse({"detail": _why(exception)}, status=400)
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such address."""
    if _is_api(request):
        return JsonResponse({"detail": "There is nothing at this address."}, status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our fault; the log knows more."""
    if _is_api(request):
        words = "The server failed on this request. Try again, or tell your admin."
        return JsonResponse({"detail": words}, status=500)
    return defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _why(exception: Exception) -> str:
    if isinstance(exception, TooManyFilesSent):
        most = settings.DATA_UPLOAD_MAX_NUMBER_FILES
        return f"At most {most} files fit into one request. Nothing was stored; send fewer."
    if isinstance(exception, RequestDataTooBig):
        return "This request is too large. Nothing was stored."
    return "This request could not be understood. Nothing was changed."
