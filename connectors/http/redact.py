"""Taking secrets and personal data out of texts that people or files will see."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, urlsplit

HIDDEN = "***"
_MIN_SECRET = 4
_EMAIL = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.])(?!\d{4}-\d\d-\d\d)\+?\d[\d ()/-]{7,}\d(?![\w.])")
_TOKEN = re.compile(r"(?i)\b(bearer|basic|token|api[-_ ]?key|secret|password|signature)(\s*[:=]\s*|\s+)\S+")


class Redactor(logging.Filter):
    """Replaces known secrets wherever they stand, and what looks like e-mail addresses, phone numbers or credentials.

    As a logging filter it does so to every record that passes, arguments and exception texts included.

    Args:
        secrets: values to hide, also in their URL- and Base64-encoded forms.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        forms = {form for secret in secrets if len(secret) >= _MIN_SECRET for form in _forms(secret)}
        self._known = re.compile("|".join(map(re.escape, sorted(forms, key=lambda form: (-len(form), form))))) if forms else None

    def clean(self, text: str) -> str:
        """The text without secrets and personal data."""
        if self._known:
            text = self._known.sub(HIDDEN, text)
        text = _TOKEN.sub(rf"\1\2{HIDDEN}", text)
        return _PHONE.sub(HIDDEN, _EMAIL.sub(HIDDEN, text))

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self.clean(logging.Formatter().formatException(record.exc_info))
        return True


def shown_url(url: str) -> str:
    """A URL without its query, credentials and fragment, and with path segments hidden that may name a person."""
    parts = urlsplit(url)
    path = "/".join(HIDDEN if "@" in part or "%40" in part.lower() else part for part in parts.path.split("/"))
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{path}"


def _forms(secret: str) -> set[str]:
    raw = secret.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    return {secret, quote(secret, safe=""), quote_plus(secret), *encoded, *(text.rstrip("=") for text in encoded)}
