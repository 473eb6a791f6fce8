"""What the sandbox's page shows of a stand-in, and the page itself. Addresses and numbers are masked here, before they leave."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from connectors.sandbox.emulation import Emulation
from connectors.sandbox.faults import Dial

SHOWN_ROWS = 12
SHOWN_REQUESTS = 40
PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
_EMAIL = re.compile(r"([^\s@,;:<>\"']{1,2})[^\s@,;:<>\"']*@[^\s@,;:<>\"']+")
_NUMBER = re.compile(r"\+?\d[\d /().-]{5,}\d(?=\d\d\b)")


def masked(text: str) -> str:
    """The text without e-mail addresses and phone numbers: `an…@…`, `…42`."""
    text = _EMAIL.sub(r"\1…@…", text)
    return _NUMBER.sub("…", text) if re.fullmatch(r"[+\d][\d /().-]+", text) else text


def shown(emulation: Emulation) -> dict[str, Any]:
    """A stand-in as the page draws it."""
    faults, seen = emulation.faults, list(emulation.seen)[-SHOWN_REQUESTS:]
    return {
        "name": emulation.name,
        "title": emulation.title,
        "source": emulation.source,
        "served": emulation.served,
        "effects": emulation.store.count_effects(),
        "credentials": dict(emulation.credentials()),
        "shelves": [
            {
                "title": shelf.title,
                "total": shelf.total,
                "columns": list(shelf.columns),
                "rows": [[masked(cell) for cell in row] for row in list(shelf.rows)[:SHOWN_ROWS]],
            }
            for shelf in emulation.shelves()
        ],
        "requests": [{"at": s.at, "method": s.method, "path": s.path, "status": s.status, "rows": s.rows, "fault": s.fault} for s in reversed(seen)],
        "dial": faults.dial.model_dump(),
        "words": {name: field.description for name, field in Dial.model_fields.items()},
        "coming": len(faults.coming),
    }
