"""Second factors: how allauth keeps and checks them."""

import os
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.core.internal import ratelimit
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.utils import is_mfa_enabled
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django import forms
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User

NONCE_BYTES = 12
# Binds the ciphertext to its use: a provider's credential does not open as the secret of a second factor.
PURPOSE = b"second-factor"
NAME_CHARS_MAX = 60


def has_second_factor(user: User) -> bool:
    """An authenticator app or a passkey; recovery codes alone are none."""
    types = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return bool(is_mfa_enabled(user, types))


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of authenticator apps and recovery codes encrypted (AES-256-GCM) under TOLLGATE_CREDENTIAL_KEY;
    the old keys open what they sealed."""

    def encrypt(self, text: str) -> str:
        """12 bytes nonce, ciphertext with tag, in base64."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(settings.CREDENTIAL_KEYS[0]).encrypt(nonce, text.encode(), PURPOSE)
        return b64encode(nonce + sealed).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises InvalidTag where none of the keys opens it."""
        return _open(encrypted_text, settings.CREDENTIAL_KEYS)

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        """What a passkey is called until its owner says better."""
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return gettext("Passkey %(number)d") % {"number": number}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": settings.SITE_NAME}


class Resealed(NamedTuple):
    """Second factors that lie under the current key now, that did before, and whose they are that open under no key
    (`second factor of` and an address)."""

    resealed: int
    current: int
    unreadable: tuple[str, ...]


def reseal_second_factors() -> Resealed:
    """Encrypt under the current key what still lies under an old one: secrets of apps and seeds of recovery codes."""
    counts = Counter[bool]()
    unreadable = []
    kinds = [Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES]
    for pk in Authenticator.objects.filter(type__in=kinds).values_list("pk", flat=True):
        with transaction.atomic():
            factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if factor is None:
                continue
            try:
                counts[_reseal(factor)] += 1
            except InvalidTag:
                unreadable.append(f"second factor of {factor.user.email}")
    return Resealed(counts[True], counts[False], tuple(unreadable))


def _reseal(factor: Authenticator) -> bool:
    """Whether it had to be. Raises InvalidTag where it opens under no key."""
    name = "secret" if factor.type == Authenticator.Type.TOTP else "seed"
    sealed = factor.data[name]
    text = _open(sealed, settings.CREDENTIAL_KEYS)
    try:
        _open(sealed, settings.CREDENTIAL_KEYS[:1])
    except InvalidTag:
        factor.data[name] = MFAAdapter().encrypt(text)
        factor.save(update_fields=["data"])
        return True
    return False


def _open(sealed_text: str, keys: Sequence[bytes]) -> str:
    sealed = b64decode(sealed_text)
    for key in keys:
        try:
            opened = AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], PURPOSE)
        except InvalidTag:
            continue
        return opened.decode()
    raise InvalidTag


def check_code_once(form: Any, check: Any) -> str:
    """The code, where `check` takes it, and takes it for the first time. Beyond the limit of attempts, 429.

    allauth remembers a used code for one period, but with a tolerance of a step on either side it is good for three
    (RFC 6238, 5.2: a verifier must not accept the second attempt of a one-time password).
    """
    try:
        code = str(check())
    except ValidationError as error:
        if error.code in ("too_many_login_attempts", "rate_limited"):
            raise ImmediateHttpResponse(ratelimit.respond_429(context.request)) from error
        raise
    authenticator = getattr(form, "authenticator", None)
    if authenticator is not None and authenticator.type == Authenticator.Type.TOTP:
        used = f"totp-used:{form.user.pk}:{code.strip()}"
        good_for_s = app_settings.TOTP_PERIOD * (2 * app_settings.TOTP_TOLERANCE + 1)
        if not cache.add(used, True, good_for_s):
            raise MFAAdapter().validation_error("incorrect_code")
    return code


class CodeForm(AuthenticateForm):  # type: ignore[misc]
    """The code of an app, or a recovery code, at sign-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress_code(self.fields["code"])

    def clean_code(self) -> str:
        return check_code_once(self, super().clean_code)


class CodeAgainForm(ReauthenticateForm):  # type: ignore[misc]
    """The same of somebody who is signed in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress_code(self.fields["code"])

    def clean_code(self) -> str:
        return check_code_once(self, super().clean_code)


class AppForm(ActivateTOTPForm):  # type: ignore[misc]
    """The first code of a new app."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dress_code(self.fields["code"])
        self.fields["code"].label = _("Code from the app")
        self.fields["code"].widget.attrs["inputmode"] = "numeric"

    def clean_code(self) -> str:
        return check_code_once(self, super().clean_code)


def dress_code(field: forms.Field) -> None:
    """A field for a code: in focus, without a placeholder that repeats its label."""
    field.widget.attrs.pop("placeholder", None)
    field.widget.attrs |= {"autofocus": True, "autocapitalize": "off", "spellcheck": "false"}


class PasskeyForm(AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey; as a rule one that signs in alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_passkey(self.fields["name"])
        self.fields["passwordless"].label = _("Sign in with it alone")
        self.fields["passwordless"].help_text = _(
            "It then stands for password and code. Turn it off for a security key that cannot keep passkeys."
        )
        self.fields["passwordless"].initial = True


class PasskeyNameForm(EditWebAuthnForm):  # type: ignore[misc]
    """Another name for a passkey."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_passkey(self.fields["name"])


def name_passkey(field: forms.Field) -> None:
    """A field for what a passkey is called."""
    field.label = _("Name")
    field.help_text = _("Where it is kept, such as “Work laptop” or “Blue key”.")
    field.max_length = NAME_CHARS_MAX  # type: ignore[attr-defined]
    field.widget.attrs |= {"autocomplete": "off", "maxlength": NAME_CHARS_MAX}
