from django.apps import AppConfig


class LabtechConfig(AppConfig):
    name = "apps.labtech"
    verbose_name = "Labtech"
