"""Whether credits can be bought here."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def can_buy_credits() -> bool:
    """A payment provider is set up."""
    return bool(settings.STRIPE_SECRET_KEY)
