"""Alerts: one message when a promise about a delivery is broken, and one when it is kept again. Silence in between.

What is promised is in `deliveries/findings.py`. Messages name destinations and figures, never persons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from connectors.errors import DestinationError
from connectors.http import Action, Api, HttpSpec
from connectors.types import Context
from seg_assets.deliveries.findings import Finding, delivery_findings, plan_findings
from seg_assets.errors import DeliveryError
from seg_assets.graph import Graph
from seg_assets.project.alerts import Alert, Mail

SMTP_SECONDS = 30


@dataclass(frozen=True)
class Change:
    """A promise that was broken or is kept again since the last look. `place` is destination and promise."""

    place: str
    broken: bool
    words: str

    def __str__(self) -> str:
        return f"{self.place}: {self.words}" if self.broken else f"{self.place}: all is well again"


def broken_promises(graph: Graph) -> dict[str, str]:
    """Destination and promise to what is the matter, for every promise that does not hold now."""
    found: dict[str, str] = {}
    for node in graph.destinations:
        findings: Iterable[Finding] = (*plan_findings(graph, node), *delivery_findings(graph, node))
        found |= {f"{node.name} {finding.name}": finding.words for finding in findings if not finding.ok}
    return found


def changes(before: Iterable[str], now: Mapping[str, str]) -> list[Change]:
    """What was broken and what was mended since the last look, by place."""
    known = set(before)
    found = [Change(place, True, now[place]) for place in now.keys() - known] + [Change(place, False, "") for place in known - now.keys()]
    return sorted(found, key=lambda change: change.place)


def send(graph: Graph, alert: Alert, news: list[Change], context: Context) -> None:
    """Tells somebody.

    Raises:
        ConnectorError: the webhook refuses or can't be reached.
        DeliveryError: the mail server refuses or can't be reached.
    """
    text = "\n".join([f"{graph.project.title}: deliveries", *(f"- {change}" for change in news)])
    if alert.mail:
        _mail(graph, alert.mail, text)
        return
    body = {"text": text}
    if alert.format == "json":
        body |= {"project": graph.project.id, "findings": [{"place": c.place, "broken": c.broken, "words": c.words} for c in news]}
    spec = HttpSpec.model_validate({"base_url": graph.secret_text(alert.webhook or ""), "endpoints": {"alert": {"method": "POST", "path": ""}}})
    reply = Api(spec, {}, name="the alert's webhook").call("alert", context, json=body)
    if reply.action is not Action.OK:
        raise DestinationError(f"the alert's webhook does not take the message: {reply.reason}")


def _mail(graph: Graph, mail: Mail, text: str) -> None:
    import smtplib
    import ssl

    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = text.splitlines()[0], mail.sender, ", ".join(mail.to)
    message.set_content(text)
    try:
        with smtplib.SMTP(mail.host, mail.port, timeout=SMTP_SECONDS) as server:
            if mail.starttls:
                server.starttls(context=ssl.create_default_context())
            if mail.user and mail.password:
                server.login(mail.user, graph.secret_text(mail.password))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(f"the mail server {mail.host} does not take the alert: {type(error).__name__}") from None
