"""From a folder to a project: what is read, and what every mistake is answered with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seg_assets.errors import ProjectError
from seg_assets.project.load import Project, demo_path, load_project

Write = Callable[..., Path]


def refusal(root: Path) -> str:
    """What loading the project says, with paths relative to it."""
    with pytest.raises(ProjectError) as caught:
        load_project(root)
    return str(caught.value).replace(f"{root}/", "")


# What is read


def test_smallest_project_has_sensible_defaults(folder: Write) -> None:
    project = load_project(folder("project: shop"))
    assert (project.id, project.title, project.config.currency, project.config.calendar) == ("shop", "shop", "USD", "UTC")
    assert project.lake == str(project.root / "lake")
    assert project.state_url == f"sqlite:///{project.root}/lake/ops.sqlite"
    assert not project.config.automation.enabled
    assert project.connectors_dir is None


def test_values_are_typed(folder: Write) -> None:
    config = load_project(
        folder("""
project: shop
as_of: 2026-07-01T02:00:00+02:00
fx: {EUR: 1.08}
connections:
  crm: {connector: files, poll: 90s, freshness: 7d, config: {path: a.csv, n: 5}}
destinations:
  mail: {connector: webhook, audiences: [vip], max_remove: 5%, fields: {name: first_name, score: engagement, tier: persona}}
  ads: {connector: webhook, audiences: all}
""")
    ).config
    assert config.as_of == datetime(2026, 7, 1, tzinfo=UTC)
    assert config.fx == {"EUR": 1.08}
    assert config.connections["crm"].poll == timedelta(seconds=90)
    assert config.connections["crm"].config == {"path": "a.csv", "n": 5}
    mail, ads = config.destinations["mail"], config.destinations["ads"]
    assert (mail.audiences, mail.max_remove, mail.armed, ads.audiences) == (["vip"], 0.05, False, "all")


def test_bare_text_in_a_mapping_is_a_column(folder: Write) -> None:
    project = load_project(
        folder("""
project: shop
connections:
  crm:
    connector: files
    streams:
      orders:
        to: events
        timezone: Europe/Berlin
        where: amount > 0
        columns:
          event_id: {sql: "invoice || '/' || line"}
          event_type: {value: order_completed}
          event_time: InvoiceDate
          user_id: {column: Customer ID}
      notes: {ignore: true}
""")
    )
    orders = project.config.connections["crm"].streams["orders"]
    assert {name: (m.column, m.value, m.sql) for name, m in orders.columns.items()} == {
        "event_id": (None, None, "invoice || '/' || line"),
        "event_type": (None, "order_completed", None),
        "event_time": ("InvoiceDate", None, None),
        "user_id": ("Customer ID", None, None),
    }


def test_taxonomy_adds_to_the_default_one_and_may_be_mapped(folder: Write) -> None:
    project = load_project(
        folder(
            """
project: shop
connections:
  crm:
    connector: files
    streams:
      people: {to: contacts, columns: {contact_id: id, email: mail, tier: Tier}}
      visits: {to: events, columns: {event_id: id, event_type: t, event_time: at, email: mail, aisle: a}}
""",
            taxonomy="""
events: {store_visited: {description: A visit., properties: [aisle]}}
properties: {aisle: {type: string, description: Where.}}
attributes: {tier: {type: string, enum: tier, description: Tier.}}
enums: {tier: {plus: [premium]}}
""",
        )
    )
    assert "store_visited" in project.taxonomy.events
    assert "order_completed" in project.taxonomy.events
    assert set(project.taxonomy.custom_attributes) == {"tier", "timezone"}


def test_empty_taxonomy_file_adds_nothing(folder: Write) -> None:
    assert "order_completed" in load_project(folder("project: shop", taxonomy="# nothing yet\n")).taxonomy.events


def test_connectors_folder_is_found(folder: Write) -> None:
    root = folder("project: shop")
    (root / "connectors").mkdir()
    assert load_project(root).connectors_dir == root / "connectors"


def test_places_are_known_for_errors_found_later(folder: Write) -> None:
    project = load_project(folder("project: shop\ndestinations:\n  mail:\n    connector: webhook\n    audiences: [vip, lost]\n"))
    assert str(project.place("destinations", "mail", "audiences", 1)).endswith("project.yaml:5:22")


# Where things are


def test_object_store_lake_keeps_its_address(folder: Write) -> None:
    project = load_project(folder("project: shop\nlake: s3://bucket/seg\nstate: sqlite:///ops.sqlite"))
    assert project.lake == "s3://bucket/seg"
    assert project.state_url == f"sqlite:///{project.root}/ops.sqlite"


def test_home_moves_relative_lake_and_state(folder: Write, tmp_path: Path) -> None:
    project = load_project(folder("project: shop\nlake: tables\nstate: sqlite:///ops.sqlite"), home=tmp_path / "elsewhere")
    assert project.lake == str(tmp_path / "elsewhere" / "tables")
    assert project.state_url == f"sqlite:///{tmp_path}/elsewhere/ops.sqlite"


def test_environment_names_project_and_home(folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEG_PROJECT", str(folder("project: from_environment")))
    monkeypatch.setenv("SEG_HOME", str(tmp_path / "home"))
    project = load_project()
    assert project.id == "from_environment"
    assert project.lake == str(tmp_path / "home" / "lake")


def test_demo_is_the_default_and_writes_nothing_into_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEG_PROJECT", raising=False)
    monkeypatch.delenv("SEG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    project = load_project()
    assert (project.id, project.root) == ("demo", demo_path())
    assert project.lake == str(tmp_path / "demo" / "lake")
    assert load_project(home=tmp_path / "other").lake == str(tmp_path / "other" / "lake")


def test_state_address_takes_its_password_from_the_environment(folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    project = load_project(folder("project: shop\nstate: postgresql+psycopg://seg:${PG_PASSWORD}@db/seg"))
    monkeypatch.delenv("PG_PASSWORD", raising=False)
    with pytest.raises(ProjectError, match=r"project.yaml:2:1: environment variable not set: PG_PASSWORD"):
        _ = project.state_url
    monkeypatch.setenv("PG_PASSWORD", "hunter2")
    assert project.state_url == "postgresql+psycopg://seg:hunter2@db/seg"


def test_pseudonym_key_is_read_when_used(folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    project = load_project(folder("project: shop\nprivacy: {pseudonym_key: '${KEY}'}"))
    monkeypatch.delenv("KEY", raising=False)
    with pytest.raises(ProjectError, match="KEY"):
        _ = project.pseudonym_key
    monkeypatch.setenv("KEY", "secret")
    assert project.pseudonym_key == b"secret"


def test_two_projects_without_a_key_hash_differently(folder: Write) -> None:
    one = load_project(folder("project: one")).pseudonym_key
    assert one != load_project(folder("project: two")).pseudonym_key


def test_settings_and_keys_are_not_shown(folder: Write) -> None:
    project: Project = load_project(
        folder("""
project: shop
state: postgresql://seg:hunter2@db/seg
privacy: {pseudonym_key: hunter2}
connections: {crm: {connector: files, config: {password: hunter2}}}
destinations: {mail: {connector: webhook, audiences: all, config: {password: hunter2}}}
""")
    )
    assert "hunter2" not in repr(project)
    assert "hunter2" not in str(project.config)


# Mistakes: the folder and its files


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "missing: there is no such folder" in refusal(tmp_path / "missing").replace(f"{tmp_path}/", "")


def test_file_instead_of_a_folder(folder: Write) -> None:
    root = folder("project: shop")
    assert "is a file, not a project folder" in refusal(root / "project.yaml")


def test_folder_without_project_yaml(tmp_path: Path) -> None:
    assert "the folder has no project.yaml (make a project with seg init DIR)" in refusal(tmp_path)


def test_environment_naming_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEG_PROJECT", str(tmp_path / "gone"))
    with pytest.raises(ProjectError, match="no such folder"):
        load_project()


def test_utf16_file(tmp_path: Path) -> None:
    (tmp_path / "project.yaml").write_bytes("project: shop\n".encode("utf-16"))
    assert refusal(tmp_path) == "project.yaml:1: the file is not UTF-8 (save it as UTF-8)"


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("project: [shop", "project.yaml:1:15: not valid YAML"),
        ("project: shop\n\tlake: x", "project.yaml:2:1: not valid YAML"),
        ("project: shop\nproject: shop", "project.yaml:2:1: the key 'project' stands here twice"),
        ("project: &x shop\ntitle: *x", "aliases"),
        ("project: !!python/object:os.system {}", "tags"),
        ("", "project.yaml: the file is empty"),
        ("# only a comment\n", "project.yaml: the file is empty"),
        ("- project: shop", "project.yaml:1:1: the file must be a mapping of keys"),
        ("shop", "project.yaml:1:1: the file must be a mapping of keys"),
        ("project: shop\n---\nproject: two", "more than one document"),
    ],
)
def test_file_that_is_no_project(folder: Write, yaml: str, message: str) -> None:
    assert message in refusal(folder(yaml))


# Mistakes: keys and values


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("title: Shop", "project.yaml:1:1: the key 'project' is missing"),
        ("conections: {}", "project.yaml:2:1: conections: unknown key; did you mean 'connections'?"),
        ("zzz: 1", "project.yaml:2:1: zzz: unknown key"),
        (
            "scoring: {engagement: {half_live_days: 3}}",
            "project.yaml:2:24: scoring.engagement.half_live_days: unknown key; did you mean 'half_life_days'?",
        ),
        ("connections: {crm: {conector: files}}", "connections.crm.conector: unknown key; did you mean 'connector'?"),
        ("connections: {crm: {conector: files}}", "project.yaml:2:15: connections.crm: the key 'connector' is missing"),
        ("connections: []", "connections: must be a mapping of keys"),
        ("connections: {crm: files}", "connections.crm: must be a mapping of keys"),
        ("connections: {My CRM: {connector: files}}", "'My CRM' is not a name"),
        ("connections: {crm: {connector: files, config: [a]}}", "connections.crm.config: must be a mapping of keys"),
        ("connections: {crm: {connector: files, poll: 15 minutes}}", "poll: '15 minutes' is not a duration; write it like 90s, 15m, 24h or 7d"),
        ("connections: {crm: {connector: files, freshness: 7}}", "freshness: 7 is not a duration"),
        ("title: 5", "title: must be text"),
        ("as_of: 2026-07-01", "as_of: '2026-07-01' has no offset"),
        ("currency: EURO", "currency: 'EURO' is not an ISO 4217 currency code like EUR; did you mean 'EUR'?"),
        ("fx: {EUR: 0}", "fx.EUR: must be above 0"),
        ("fx: {EUR: '1.1'}", "fx.EUR: must be a number"),
        ("fx: {EUR: .nan}", "fx.EUR: must be"),
        ("fx: {USD: 1.1}", "fx.USD: the rate of the project's own currency is always 1"),
        ("calendar: Europe/Berln", "calendar: 'Europe/Berln' is not an IANA time zone like Europe/Berlin; did you mean 'Europe/Berlin'?"),
        ("lake: http://example.com/x", "lake: the lake is a folder, or an address that starts with s3://, gs:// or az:// and a bucket"),
        ("lake: s3://", "lake: the lake is a folder"),
        ("lake: s3://bucket/seg", "lake: a lake in an object store needs `state`"),
        ("state: mysql://db", "state: write an SQLAlchemy address"),
        ("automation: {schedule: daily}", "automation.schedule: 'daily' is not a cron line"),
        ("automation: {schedule: 0 25 * * *}", "'25' is no hour (0-23)"),
        ("automation: {enabled: yes}", "automation.enabled: must be true or false"),
        ("scoring: {engagement: {weights: {ordercompleted: 5}}}", "'ordercompleted' is not a type of event; did you mean 'order_completed'?"),
        ("scoring: {engagement: {weights: {page_viewed: 0}}}", "no event has points"),
        ("scoring: {engagement: {weights: {page_viewed: a}}}", "weights.page_viewed: must be a number"),
        ("scoring: {engagement: {half_life_days: 0}}", "half_life_days: must be above 0"),
        ("scoring: {engagement: {labels: {highly_engaged: 80%}}}", "must not exceed 100% together"),
        ("scoring: {engagement: {labels: {by: points, highly_engaged: 5, moderately_engaged: 9}}}", "at least as many points"),
        ("scoring: {rfm: {window: 7d}}", "scoring.rfm.window: must be one of '30d', '90d', '365d' or 'total'"),
        ("clustering: {k: 12..3}", "clustering.k: '12..3' is not a range"),
        ("clustering: {k: 1..3}", "k must lie between 2 and 50"),
        ("clustering: {features: [events_30d, email]}", "clustering.features.1: 'email' is not a number or word in profiles/features"),
        ("clustering: {features: [events_30d, events_30d]}", "names a column twice"),
        ("clustering: {sample: 5}", "clustering.sample: must be at least 100"),
        ("clustering: {seed: 1.5}", "clustering.seed: must be a whole number"),
        ("identity: {default_region: Germany}", "'Germany' is not an ISO 3166 country code like DE"),
        ("identity: {sources: [crm]}", "identity.sources.0: 'crm' is not a connection"),
        ("identity: {max_identifiers: 1}", "must be at least 2"),
        ("privacy: {pseudonym_key: ''}", "privacy.pseudonym_key: must not be empty"),
        ("privacy: {pseudonym_key: '${MY KEY}'}", "names no environment variable"),
        ("destinations: {mail: {connector: webhook}}", "destinations.mail: the key 'audiences' is missing"),
        ("destinations: {mail: {connector: webhook, audiences: []}}", "name the segments to deliver, as a list of ids, or write all"),
        ("destinations: {mail: {connector: webhook, audiences: vip}}", "name the segments to deliver, as a list of ids, or write all"),
        ("destinations: {mail: {connector: webhook, audiences: [A b]}}", "'A b' is not the id of a segment"),
        ("destinations: {mail: {connector: webhook, audiences: [[a]]}}", "['a'] is not the id of a segment"),
        ("destinations: {mail: {connector: webhook, audiences: [vip, vip]}}", "a segment is named twice"),
        ("destinations: {mail: {connector: webhook, audiences: all, max_remove: 120%}}", "max_remove: '120%' is not a share"),
        ("destinations: {mail: {connector: webhook, audiences: all, armed: 'true'}}", "armed: must be true or false"),
        (
            "destinations: {mail: {connector: webhook, audiences: all, fields: {a: emial}}}",
            "'emial' is not a column of a person; did you mean 'email'?",
        ),
    ],
)
def test_mistake_is_named_with_its_place(folder: Write, yaml: str, message: str) -> None:
    root = folder(yaml if yaml.startswith("title: Shop") else f"project: shop\n{yaml}")
    said = refusal(root)
    assert message in said
    assert all(line.startswith("project.yaml:") for line in said.splitlines())


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("{to: orders}", "to: must be one of 'events', 'contacts', 'consents', 'enrichments' or 'mentions'"),
        ("{columns: {email: a}}", "columns are mapped, but not to which table; add `to: events`"),
        ("{ignore: true, to: events}", "an ignored stream can't be mapped as well"),
        ("{to: contacts, columns: {contact_id: a, emial: b}}", "columns.emial: 'emial' is not a column of contacts; did you mean 'email'?"),
        ("{to: contacts, columns: {contact_id: a, percent: b, email: c}}", "'percent' is not a column of contacts"),
        ("{to: contacts, columns: {contact_id: a, first_name: b}}", "nothing says whose rows these are; map at least one of user_id"),
        ("{to: events, columns: {event_type: a, email: b}}", "events need event_id, event_time"),
        ("{to: events, columns: {day: a}}", "'day' is filled in by the graph; take it out"),
        ("{to: contacts, columns: {email: {}}}", "columns.email: write exactly one of column, value and sql"),
        ("{to: contacts, columns: {email: {column: a, value: b}}}", "write exactly one of column, value and sql"),
        ("{to: contacts, columns: {email: {value: null}}}", "write exactly one of column, value and sql"),
        ("{to: contacts, columns: {email: {colum: a}}}", "columns.email.colum: unknown key; did you mean 'column'?"),
        ("{to: contacts, columns: {email: [a]}}", "columns.email: must be a mapping of keys"),
        ("{to: contacts, columns: {email: ''}}", "columns.email.column: must not be empty"),
        ("{to: contacts, columns: {email: {value: [a]}}}", "columns.email.value: must be text, a number, or true or false"),
        ("{to: contacts, columns: {email: {sql: (SELECT 1)}}}", "columns.email.sql: the SQL holds a subquery"),
        ("{to: contacts, columns: {email: {sql: read_text('x')}}}", "columns.email.sql: the SQL calls read_text()"),
        ("{to: contacts, columns: {email: {sql: a; DROP TABLE b}}}", "columns.email.sql: not valid SQL"),
        ("{to: contacts, columns: {email: {sql: count(*)}}}", "columns.email.sql: the SQL calls count_star()"),
        ("{to: contacts, where: a = 1) OR (true; --}", "where: not valid SQL"),
        ("{timezone: Berlin}", "timezone: 'Berlin' is not an IANA time zone"),
    ],
)
def test_mistake_in_a_mapping_is_named_with_its_place(folder: Write, mapping: str, message: str) -> None:
    said = refusal(folder(f"project: shop\nconnections:\n  crm:\n    connector: files\n    streams:\n      people: {mapping}\n"))
    assert message in said
    assert all(line.startswith("project.yaml:6:") for line in said.splitlines())


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(folder: Write) -> None:
    said = refusal(folder("project: Shop\ncurrency: XXX\ntitel: x\nconnections:\n  crm: {connector: files, poll: 5}\nautomation: {schedule: x}\n"))
    assert [line.split(": ")[0] for line in said.splitlines()] == [
        "project.yaml:1:1", "project.yaml:2:1", "project.yaml:3:1", "project.yaml:5:27", "project.yaml:6:14"
    ]  # fmt: skip


def test_no_error_shows_a_value_of_the_settings(folder: Write) -> None:
    said = refusal(folder("project: shop\nconnections: {crm: {connector: 5, config: {password: 'hunter2${'}}}\nprivacy: {pseudonym_key: [hunter2]}"))
    assert "names no environment variable" in said
    assert "hunter2" not in said


# Mistakes: the taxonomy


@pytest.mark.parametrize(
    ("taxonomy", "message"),
    [
        ("event: {}", "taxonomy.yaml:1:1: event: unknown key; did you mean 'events'?"),
        ("events: [a]", "taxonomy.yaml:1:1: events: must be a mapping of keys"),
        ("events: {x: {}}", "taxonomy.yaml:1:10: events.x: the key 'description' is missing"),
        ("events: {x: {description: d, props: []}}", "events.x.props: unknown key"),
        ("events: {x: {description: d, properties: [nope]}}", "event 'x' names the unknown property 'nope'"),
        ("events: {Store Visited: {description: d}}", "'Store Visited' is not a name"),
        ("properties: {x: {type: text, description: d}}", "properties.x.type: must be one of 'string', 'int64'"),
        ("properties: {email: {type: string, description: d}}", "'email' is a column of events already; choose another name"),
        ("attributes: {x: {type: string, description: d, enum: y}}", "attribute 'x' names the unknown enum 'y'"),
        ("attributes: {x: {type: string, description: d, pii: direct}}", "can't be a direct identifier"),
        ("attributes: {x: {type: string, description: d, custom: false}}", "'x' is no column of contacts; take out custom"),
        ("enums: {x: [a]}", "enums.x: must be a mapping of keys"),
        ("purposes: {x: 5}", "purposes.x: must be text"),
        ("- a", "taxonomy.yaml:1:1: the file must be a mapping of keys"),
        ("a: [", "taxonomy.yaml:1:5: not valid YAML"),
    ],
)
def test_mistake_in_the_taxonomy_is_named_with_its_place(folder: Write, taxonomy: str, message: str) -> None:
    assert message in refusal(folder("project: shop", taxonomy=taxonomy))
