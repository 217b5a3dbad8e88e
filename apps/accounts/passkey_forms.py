"""allauth's forms for passkeys, which fail (500) on answers that no browser would give."""

import struct
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import forms

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, struct.error)


class _SaysIncorrect:
    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()
        except _MALFORMED:
            raise get_adapter().validation_error("incorrect_code") from None


class LoginForm(_SaysIncorrect, forms.LoginWebAuthnForm):
    pass


class AuthenticateForm(_SaysIncorrect, forms.AuthenticateWebAuthnForm):
    pass


class ReauthenticateForm(_SaysIncorrect, forms.ReauthenticateWebAuthnForm):
    pass


class AddForm(forms.AddWebAuthnForm):
    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except _MALFORMED:
            raise get_adapter().validation_error("incorrect_code") from None
