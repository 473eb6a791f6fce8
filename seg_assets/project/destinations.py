"""What project.yaml may say about a destination: who is delivered, what is told about them, what holds an operation back, and what stops a delivery."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer, PlainValidator, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from seg_assets.project.base import ColumnMapping, Model, Settings, Sql, constant
from seg_assets.project.values import SLUG, Duration, Share, Slug, parse_duration

OnLeave = Literal["nothing", "clear", "remove", "archive", "erase"]


def _audiences(value: Any) -> list[str] | Literal["all"]:
    if value == "all":
        return "all"
    if not isinstance(value, list) or not value:
        raise ValueError("name the segments to deliver, as a list of ids, or write all")
    wrong = [name for name in value if not isinstance(name, str) or not re.fullmatch(SLUG, name)]
    if wrong or len(set(value)) < len(value):
        raise ValueError(f"{wrong[0]!r} is not the id of a segment" if wrong else "a segment is named twice")
    return value


def _time_of_day(value: Any) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f'{value!r} is not a time of day; write it like "21:00"')
    return time.fromisoformat(value)


TimeOfDay = Annotated[
    time,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda at: at.strftime("%H:%M")),
    WithJsonSchema({"title": "time of day", "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["21:00"]}),
]


class Rule(Model):
    """A value for those whom a condition fits. A rule without one fits everybody, and is the last."""

    segment: Slug | None = Field(default=None, description="Members of this segment.")
    when: Sql | None = Field(default=None, description="Boolean SQL expression over the person's columns.")
    value: Annotated[str | int | float | bool | None, BeforeValidator(constant)] = Field(default=None, description="The value; null for none.")

    @model_validator(mode="after")
    def _one_condition(self) -> Rule:
        if self.segment is not None and self.when is not None:
            raise ValueError("write segment or when, not both; a rule of its own says more than one condition")
        if "value" not in self.model_fields_set:
            raise ValueError("a rule needs a value; write `value: null` for none")
        return self


class PayloadField(ColumnMapping):
    """What a destination is told in one field: a column, a constant, an expression, or the first rule that fits. A bare text is a column's name."""

    choose: list[Rule] = Field(default=[], description="Rules in order; the first that fits decides. Nobody's rule fits: no value.")
    empty: Literal["clear", "skip"] = Field(
        default="clear", description="What is sent for no value: `clear` empties the field at the destination, `skip` leaves it as it is there."
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> PayloadField:
        given = {"column", "value", "sql", "choose"} & self.model_fields_set
        if len(given) != 1 or all(getattr(self, name) in (None, []) for name in given):
            raise ValueError("write exactly one of column, value, sql and choose")
        if any(rule.segment is None and rule.when is None for rule in self.choose[:-1]):
            raise ValueError("a rule without a condition must be the last one")
        return self


class Limit(Model):
    """At most so many in so long."""

    most: int = Field(ge=1, le=10_000, description="At most so many.")
    within: Duration = Field(description="In so long, up to the delivery.")


class QuietHours(Model):
    """When nobody is added to an audience. Additions wait for the next delivery after it."""

    start: TimeOfDay = Field(description="Local time it begins at.")
    end: TimeOfDay = Field(description="Local time it ends at; before `start` means the next morning.")
    timezone: str | None = Field(
        default=None, description="Person's column with an IANA time zone; where it is empty or left out, the project's `calendar` counts."
    )

    @model_validator(mode="after")
    def _has_a_length(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end must differ")
        return self


class Destination(Model):
    """A configured connector that receives audiences."""

    connector: Slug = Field(description="Id of the connector (`seg connectors list`).")
    config: Settings = Field(default={}, repr=False, description="The connector's own settings. `${NAME}` stands for an environment variable.")
    object: Slug | None = Field(default=None, description="Which of the connector's objects to deliver to; needed where it has several.")
    armed: bool = Field(default=False, description="Deliver for real. Until then deliveries are planned and shown, and nothing is sent.")
    audiences: Annotated[
        list[str] | Literal["all"],
        PlainValidator(_audiences),
        WithJsonSchema(
            {
                "title": "list of ids, or all",
                "anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string", "pattern": f"^{SLUG}$"}, "minItems": 1}],
            }
        ),
    ] = Field(description="Ids of the segments to deliver, or `all`. Their order is their priority.")
    exclusive: bool = Field(default=False, description="Each person is in the first of the audiences they may be in, and in no other.")
    sync: list[Literal["create", "update", "remove"]] = Field(
        default=["create", "update", "remove"],
        min_length=1,
        description="What is sent: new members, changes of those who are there, and what `on_leave` says about those who leave.",
    )
    on_leave: OnLeave = Field(
        default="remove",
        description="What happens to a member who leaves: `nothing`; `clear` empties the fields; `remove` takes them out of the audience; `archive` and "
        "`erase` do that to the whole record once the last audience is left. Who withdraws consent or is suppressed is always taken out.",
    )
    fields: dict[str, PayloadField] = Field(default={}, description="Name in the payload to where its value comes from.")
    needs: list[Slug] = Field(default=[], description="Purposes every member must consent to, besides those the segments name.")
    suppress: list[Slug] = Field(default=[], description="Segments whose members are in no audience here.")
    cap: Limit | None = Field(default=None, description="How often a person may be added to audiences here: further additions are put off.")
    quiet_hours: QuietHours | None = Field(default=None, description="When nobody is added.")
    max_remove: Share = Field(default=0.2, description="Largest share of an audience one delivery may remove; more stops it before anything is sent.")
    max_remove_count: int | None = Field(default=None, ge=0, description="Largest number of members of an audience one delivery may remove.")
    max_age: Duration = Field(default=parse_duration("2d"), description="Memberships older than this at the instant of the run remove nobody.")
    in_doubt: Literal["stop", "loss", "duplicate"] = Field(
        default="stop",
        description="Where nobody can tell whether an operation took effect, as the destination neither knows repetitions nor can be asked: leave it in doubt for"
        " `seg activate resolve`, take it as done, or send it again.",
    )
    max_rejected: Share = Field(
        default=0.05, description="Largest share of a delivery's operations the destination may reject before the check fails."
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Destination:
        if "on_leave" in self.model_fields_set and "remove" not in self.sync and self.on_leave != "nothing":
            raise ValueError(f"on_leave says {self.on_leave}, but sync leaves out remove")
        if self.exclusive and self.audiences == "all":
            raise ValueError("exclusive needs the audiences in order; name them instead of `all`")
        return self

    @property
    def leaving(self) -> OnLeave:
        """What happens to a member who leaves."""
        return self.on_leave if "remove" in self.sync else "nothing"
