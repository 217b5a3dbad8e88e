"""Facts about patients as people write them."""

from django import template

from apps.cases.pictures import text_of_age

register = template.Library()


@register.filter
def age(value: str) -> str:
    """ "063Y" as 63, "006M" as 6 months."""
    return text_of_age(value)
