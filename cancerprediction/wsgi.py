"""WSGI entry point for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from cancerprediction import tracing
from cancerprediction.startup import refuse_mistakes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")

tracing.start("web")  # before the middleware is loaded, which it joins
application = get_wsgi_application()
refuse_mistakes()
