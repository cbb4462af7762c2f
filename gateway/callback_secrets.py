"""What signs a key's callbacks: made at first need, shown to who manages the key, and changed at will."""

from django.db import transaction

from accounts.models import APIKey
from gateway.models import CallbackSecret
from gateway.signing import current_secret, put_first_secret, replace_secret
from gateway.signing import signing_secrets as secrets_of


def callback_secret(key: APIKey) -> str:
    """The key's secret, `whsec_` and base64; the first call makes it. Raises BadCredential where it does not open."""
    return current_secret(find_or_make_secret(key))


@transaction.atomic
def rotate_secret(key: APIKey) -> str:
    """Another secret. The one before signs too for signing.OVERLAP; one that was before that stops now."""
    find_or_make_secret(key)
    return replace_secret(CallbackSecret.objects.select_for_update().get(pk=key.pk))


def signing_secrets(key: APIKey) -> list[str]:
    """The secrets that sign now, the current one first. Raises BadCredential where the current one does not open."""
    return secrets_of(find_or_make_secret(key))


def find_or_make_secret(key: APIKey) -> CallbackSecret:
    """The row of the key's secret."""
    row = CallbackSecret.objects.filter(pk=key.pk).first()
    if row is not None:
        return row
    made = CallbackSecret(api_key=key)
    put_first_secret(made)
    # Of several at once one makes it, and all answer that one.
    CallbackSecret.objects.bulk_create([made], ignore_conflicts=True)
    return CallbackSecret.objects.get(pk=key.pk)
