"""How django-allauth is bent to Tollgate's users."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Users have no user name; the e-mail address stands in for it."""

    def populate_username(self, request: HttpRequest, user: object) -> None:
        """Nothing to fill in."""
