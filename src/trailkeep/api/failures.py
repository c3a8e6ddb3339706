"""Naming what went wrong with a request, in words that may be shown: never with the secret key in them."""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from trailkeep.errors import (
    AuthenticationFailed,
    NotOffered,
    PermissionDenied,
    RemoteUnavailable,
    RequestRefused,
    TokenRefused,
)

if TYPE_CHECKING:
    from trailkeep.api.wire import Answer, Broken, Unsendable

_Text = TypeVar("_Text", str, None)

MESSAGE_CHARACTERS = 500
"""What an error of the API's is cut to before it is shown."""

IN_PLACE_OF_THE_KEY = "[secret key]"


class MayPass(Exception):
    """A failure that a further try may mend."""


class Failures:
    """Says what the failures of one API's requests are. An answer may repeat the secret key that it was sent."""

    def __init__(self, base_url: str, secret_key: str) -> None:
        self._base_url = base_url
        written = {secret_key, json.dumps(secret_key)[1:-1], quote(secret_key, safe="")}
        longest_first = sorted(written, key=len, reverse=True)
        self._key = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if secret_key else None

    def shown(self, text: _Text) -> _Text:
        """The text of an answer without the secret key."""
        return self._key.sub(IN_PLACE_OF_THE_KEY, text) if text and self._key else text

    def broken(self, error: Broken) -> Exception:
        """The error that no whole answer stands for."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return RemoteUnavailable(
                    f"{self._base_url}: its TLS certificate is not trusted: {cause.verify_message}",
                    hint="Check SCW_API_URL and the system's certificates (SSL_CERT_FILE);"
                    " behind a proxy, trust its CA.",
                )
            cause = cause.__cause__ or cause.__context__
        return MayPass(self.shown(str(error)))

    def refusal(self, response: Answer, path: str, *, token: bool) -> Exception:
        """The error that an answer other than 200 stands for; `token` is whether the request was for a further page."""
        status, said = response.status_code, self._said(response)
        where = f"{path}: {status}{said}"
        if status == 401:
            return AuthenticationFailed(
                f"the API does not accept the secret key ({status}{said})",
                hint="Check SCW_SECRET_KEY or the profile; `trailkeep config show` says where the key comes from.",
            )
        if status == 403:
            return PermissionDenied(
                f"the key may not read {path} ({status}{said})",
                hint=_grant(path),
            )
        # A success that is none (204, 206) is a gateway's mishap; the next answer may be whole.
        if status < 300 or (status >= 500 and status != 501) or status in (408, 425):
            return MayPass(f"it answered {status}{said}")
        # 501 too: the page before was offered.
        if token and status >= 400:
            return TokenRefused(f"the API no longer takes a page token ({where})")
        if status in (404, 501):
            return NotOffered(f"the API does not offer {path} ({status}{said})", status=status)
        if 300 <= status < 400:
            place = self.shown(response.headers.get("Location", "nowhere"))
            return RequestRefused(
                f"{path} redirects to {place!r}, which is not followed: the key would go along",
                hint="Set SCW_API_URL to the API's own address.",
            )
        return RequestRefused(f"the API refused the request ({where})")

    def _said(self, response: Answer) -> str:
        """What the API's error says, in short; a gateway may answer HTML, which is left out."""
        try:
            answer = response.json()
            message, details = answer.get("message"), answer.get("details")
        except (ValueError, AttributeError, RecursionError):
            return ""
        text = f": {message}" if isinstance(message, str) and message else ""
        if isinstance(details, list) and details:
            text += f" {json.dumps(details, ensure_ascii=True)}"
        return self.shown(text)[:MESSAGE_CHARACTERS]


def unsendable(error: Unsendable) -> Exception:
    """The error that a request stands for that cannot be sent."""
    return RequestRefused(str(error), hint="Correct SCW_API_URL, or the secret key.")


def _grant(path: str) -> str:
    if path.startswith("/iam/"):
        return "Grant IAMReadOnly at Organization scope: `trailkeep config policy` prints the policy."
    return (
        "Grant AuditTrailReadOnly at Organization scope (IAMReadOnly for names): `trailkeep config policy` prints the"
        " policy."
    )
