"""Authenticator apps for tests."""

import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, hotp_value

from accounts.models import User


class App:
    """An authenticator app of a user, who has recovery codes too."""

    def __init__(self, user: User) -> None:
        self.secret = generate_totp_secret()
        self.authenticator: Authenticator = TOTP.activate(user, self.secret).instance
        self.recovery = RecoveryCodes.activate(user)

    def code(self, steps: int = 0) -> str:
        """The code that it shows now, or so many steps from now."""
        return code_of(self.secret, steps)


def code_of(secret: str, steps: int = 0) -> str:
    """RFC 6238 with SHA-1, 30 seconds and 6 digits."""
    counter = int(time.time()) // 30 + steps
    return f"{hotp_value(secret, counter):06}"
