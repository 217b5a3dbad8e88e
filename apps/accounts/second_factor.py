"""The second factor of a log-in: who needs one, and how its secrets are kept."""

import base64
import secrets

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.audit.services import record

# A recovery code is a way in when the device is lost; it does not count as having one.
DEVICES = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets lie encrypted in the database, so that a copy of it is no second factor."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The secret; under another SECRET_KEY a random one, which no code fits."""
        try:
            return _cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def get_totp_issuer(self) -> str:
        """What an authenticator app shows above the code."""
        return "Cancer Prediction"

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whoever must have a second factor keeps the last one; an admin can reset it."""
        if authenticator.type not in DEVICES or not must_have(authenticator.user):
            return True
        others = Authenticator.objects.filter(user=authenticator.user, type__in=DEVICES)
        return others.exclude(pk=authenticator.pk).exists()


def _cipher() -> Fernet:
    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"second factor")
    return Fernet(base64.urlsafe_b64encode(derive.derive(settings.SECRET_KEY.encode())))


def must_have(user: User) -> bool:
    """Whether this person's role may do nothing before a second factor is set up."""
    return user.role in settings.SECOND_FACTOR_ROLES


def has_one(user: User) -> bool:
    """Whether this person logs in with an authenticator app or a passkey."""
    return Authenticator.objects.filter(user=user, type__in=DEVICES).exists()


def reset(user: User, *, request: HttpRequest) -> int:
    """Forget every second factor of this person, who has lost them; how many there were."""
    number, _ = Authenticator.objects.filter(user=user).delete()
    record(AuditEvent.Action.SECOND_FACTOR, request=request, target=user, step="reset by an admin")
    return number
