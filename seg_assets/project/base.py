"""What every model of project.yaml is made of: the base class, SQL, settings of connectors, and where a column's values come from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from seg_assets.project.secrets import is_well_formed
from seg_assets.project.sql import check_scalar


def references_are_well_formed(value: Any) -> Any:
    """For settings: every `${...}` in them names a variable."""
    if isinstance(value, str) and not is_well_formed(value):
        raise ValueError("a ${...} in it names no environment variable; write ${NAME}, or $${ for the characters themselves")
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        references_are_well_formed(entry)
    return value


def _scalar(text: str) -> str:
    check_scalar(text)
    return text


def constant(value: Any) -> Any:
    """For values written in YAML: one word, number or truth."""
    if not isinstance(value, str | int | float | bool | None):
        raise ValueError("must be text, a number, or true or false")
    return value


Sql = Annotated[str, AfterValidator(_scalar), WithJsonSchema({"title": "SQL expression", "type": "string"})]
Settings = Annotated[dict[str, Any], AfterValidator(references_are_well_formed)]


class Model(BaseModel):
    """Unknown keys are errors; nothing is converted on the quiet."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ColumnMapping(Model):
    """Where a canonical column's values come from: a column, a constant or an expression. A bare text is a column's name."""

    column: str | None = Field(default=None, min_length=1, description="Name of the column.")
    value: Annotated[str | int | float | bool | None, BeforeValidator(constant)] = Field(default=None, description="The same value for every row.")
    sql: Sql | None = Field(default=None, description="One scalar expression over the row's columns, in DuckDB's SQL.")

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(schema)]}

    @model_validator(mode="before")
    @classmethod
    def _bare_text_is_a_column(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _exactly_one_origin(self) -> ColumnMapping:
        given = {"column", "value", "sql"} & self.model_fields_set
        if len(given) != 1 or all(getattr(self, name) is None for name in given):
            raise ValueError("write exactly one of column, value and sql")
        return self
