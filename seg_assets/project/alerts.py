"""What project.yaml may say about alerts: where they are sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from seg_assets.project.base import Model, references_are_well_formed

SecretText = Annotated[str, AfterValidator(references_are_well_formed)]


class Mail(Model):
    """An SMTP server, and who is written to."""

    to: list[str] = Field(min_length=1, description="Addresses that are written to.")
    sender: str = Field(min_length=3, description="Address that writes.")
    host: str = Field(min_length=1, description="SMTP server.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    user: str | None = Field(default=None, description="To sign in with, if it asks for that.")
    password: SecretText | None = Field(default=None, repr=False, description="`${NAME}` stands for a secret.")
    starttls: bool = Field(default=True, description="Encrypt the connection; only a server on this machine may do without.")

    @model_validator(mode="after")
    def _is_encrypted(self) -> Mail:
        if not self.starttls and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("starttls may be off for a server on this machine only")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        return self


class Alert(Model):
    """Somebody who is told when a promise about a delivery is broken, and when it is kept again: by webhook or by e-mail."""

    webhook: SecretText | None = Field(default=None, repr=False, description="Address messages are posted to; `${NAME}` stands for a secret.")
    format: Literal["slack", "json"] = Field(
        default="slack",
        description='`slack`: `{"text": ...}`, as Slack, Mattermost and Teams take it; `json`: also project and findings, for programs.',
    )
    mail: Mail | None = Field(default=None, description="Or e-mail.")

    @model_validator(mode="after")
    def _one_way(self) -> Alert:
        if (self.webhook is None) == (self.mail is None):
            raise ValueError("write webhook or mail, one of them")
        return self
