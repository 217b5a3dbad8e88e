"""WSGI entry point for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from cancerprediction.startup import refuse_mistakes

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")

application = get_wsgi_application()
refuse_mistakes()
