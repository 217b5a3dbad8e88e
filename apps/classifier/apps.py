from django.apps import AppConfig


class ClassifierConfig(AppConfig):
    name = "apps.classifier"
    verbose_name = "Classifier"
