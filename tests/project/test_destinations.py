"""What project.yaml may say about destinations and alerts: mistakes are told with their line, and what was meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seg_assets.errors import ProjectError
from seg_assets.project.load import load_project

Write = Callable[..., Path]
HEAD = "project: shop\ndestinations:\n  ads:\n    connector: webhook\n"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("audiences: all\n    exclusive: true", "destinations.ads: exclusive needs the audiences in order; name them instead of `all`"),
        ("audiences: [vip]\n    sync: [create]\n    on_leave: erase", "on_leave says erase, but sync leaves out remove"),
        (
            "audiences: [vip]\n    on_leave: forget",
            "6:5: destinations.ads.on_leave: must be one of 'nothing', 'clear', 'remove', 'archive' or 'erase'",
        ),
        ("audiences: [vip]\n    fields: {x: {column: city, value: Bonn}}", "write exactly one of column, value, sql and choose"),
        ("audiences: [vip]\n    fields: {x: citty}", "'citty' is not a column of a person; did you mean 'city'?"),
        ("audiences: [vip]\n    fields: {x: {sql: upper(citty)}}", "'citty' is not a column of a person; did you mean 'city'?"),
        ("audiences: [vip]\n    fields: {x: {sql: now()}}", "which is not a function of one row's values alone"),
        (
            "audiences: [vip]\n    fields:\n      x:\n        choose:\n          - {when: agee > 5, value: 1}",
            "9:14: destinations.ads.fields.x.choose.0.when: 'agee'",
        ),
        ("audiences: [vip]\n    fields: {x: {choose: [{value: 1}, {segment: vip, value: 2}]}}", "a rule without a condition must be the last one"),
        ("audiences: [vip]\n    fields: {x: {choose: [{segment: vip}]}}", "a rule needs a value; write `value: null` for none"),
        ("audiences: [vip]\n    fields: {x: {choose: [{segment: vip, when: age > 5, value: 1}]}}", "write segment or when, not both"),
        ("audiences: [vip]\n    needs: [marketing_emial]", "6:13: destinations.ads.needs.0: 'marketing_emial' is not a purpose of the taxonomy"),
        ('audiences: [vip]\n    quiet_hours: {start: "9pm", end: "08:00"}', "'9pm' is not a time of day; write it like \"21:00\""),
        ('audiences: [vip]\n    quiet_hours: {start: "08:00", end: "08:00"}', "start and end must differ"),
        ('audiences: [vip]\n    quiet_hours: {start: "21:00", end: "08:00", timezone: zone}', "'zone' is not a column of a person"),
        ("audiences: [vip]\n    cap: {most: 0, within: 7d}", "destinations.ads.cap.most: must be at least 1"),
    ],
)
def test_a_mistake_is_told_with_what_was_meant(folder: Write, lines: str, told: str) -> None:
    with pytest.raises(ProjectError) as raised:
        load_project(folder(f"{HEAD}    {lines}\n"))
    assert told in str(raised.value)
    assert "project.yaml:" in str(raised.value)


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ("{}", "write webhook or mail, one of them"),
        ('{webhook: "${A", format: json}', "names no environment variable"),
        (
            "{mail: {to: [a@example.com], sender: b@example.com, host: smtp.example.com, starttls: false}}",
            "starttls may be off for a server on this machine only",
        ),
        ("{mail: {to: [a@example.com], sender: b@example.com, host: smtp.example.com, user: b}}", "user and password belong together"),
    ],
)
def test_an_alert_goes_one_way_and_encrypted(folder: Write, alert: str, told: str) -> None:
    with pytest.raises(ProjectError, match=r"alerts\.ops") as raised:
        load_project(folder(f"project: shop\nalerts: {{ops: {alert}}}\n"))
    assert told in str(raised.value)


def test_everything_a_destination_may_say_is_read(folder: Write) -> None:
    text = """
project: shop
pressure: {most: 3, within: 7d}
destinations:
  ads:
    connector: webhook
    audiences: [vip, lapsed]
    exclusive: true
    sync: [create, remove]
    on_leave: clear
    fields:
      city: {column: city, empty: skip}
      offer: {choose: [{segment: vip, value: champagne}, {when: "age < 30", value: 0.2}, {value: null}]}
    quiet_hours: {start: "21:30", end: "07:00"}
    max_remove_count: 500
    max_age: 12h
"""
    config = load_project(folder(text)).config
    ads = config.destinations["ads"]
    assert config.pressure
    assert (config.pressure.most, config.pressure.within.days) == (3, 7)
    assert (ads.leaving, ads.sync, ads.fields["city"].empty) == ("clear", ["create", "remove"], "skip")
    assert [rule.value for rule in ads.fields["offer"].choose] == ["champagne", 0.2, None]
    assert ads.quiet_hours
    assert f"{ads.quiet_hours.start:%H:%M}" == "21:30"
