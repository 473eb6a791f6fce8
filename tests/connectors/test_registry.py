"""Plug-ins from packages, project files and the built-ins; a broken one harms nobody else."""

import json
import textwrap
import threading
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from connectors.errors import ConfigError
from connectors.hookspecs import ENTRY_POINT_GROUP
from connectors.registry import load_registry
from connectors.types import DeliveryEvent, PlanSummary
from seg_assets.build import build_defs
from seg_assets.cli.plugins import doctor
from seg_assets.project.init import init_project

GOOD = """
from seg_assets.sdk import Config, ConnectorMeta, hookimpl

class Acme:
    meta = ConnectorMeta(id="{id}", title="Acme", description="Things from Acme.")
    config_model = Config

    def __init__(self, config): ...
    def streams(self, context): return []
    def watermark(self, stream, context): return ""
    def read(self, stream, cursor, context): yield from ()

@hookimpl
def seg_sources():
    return [Acme]
"""


@pytest.fixture
def plugin(tmp_path):
    """Writes a file into the project's `connectors` folder; returns the folder."""
    folder = tmp_path / "connectors"
    folder.mkdir()

    def write(name, code):
        (folder / f"{name}.py").write_text(textwrap.dedent(code))
        return folder

    return write


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a distribution with one module that is a plug-in."""

    def install(name, code, version="1.0", target=None):
        site = tmp_path / f"site-{name}"
        module = name.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{name} = {target or module}\n")
        monkeypatch.syspath_prepend(str(site))

    return install


def record(registry, name):
    return next(one for one in registry.records if one.name == name)


def broken(registry):
    return {one.name: one.error for one in registry.records if one.error}


def test_built_ins_load_through_the_same_hooks():
    registry = load_registry()
    assert not broken(registry)
    assert {"files", "shop"} <= set(registry.sources)
    assert {"hubspot", "webhook"} <= set(registry.destinations)
    assert record(registry, "files").connectors == ("files",)


def test_a_package_is_recorded_with_its_distribution_and_version(package):
    package("seg-acme", GOOD.format(id="acme"), version="2.3")
    registry = load_registry()
    found = record(registry, "seg-acme")
    assert (found.kind, found.origin, found.connectors, found.error) == ("package", "seg-acme 2.3", ("acme",), None)
    assert registry.source("acme").meta.title == "Acme"


def test_project_files_load_and_may_share_private_code(plugin):
    plugin("_shared", "ID = 'shared'")
    folder = plugin("mine", "from ._shared import ID\n" + GOOD.replace('"{id}"', "ID"))
    registry = load_registry(folder)
    assert not broken(registry)
    assert record(registry, "mine").origin == str(folder / "mine.py")
    assert "shared" in registry.sources


def test_an_edited_project_file_is_loaded_anew(plugin):
    load_registry(plugin("mine", GOOD.format(id="one")))
    registry = load_registry(plugin("mine", GOOD.format(id="another")))
    assert "another" in registry.sources
    assert "one" not in registry.sources


def test_two_projects_may_have_files_of_the_same_name(tmp_path):
    for project, id in (("a", "first"), ("b", "second")):
        (tmp_path / project).mkdir()
        (tmp_path / project / "mine.py").write_text(GOOD.format(id=id))
    assert "first" in load_registry(tmp_path / "a").sources
    assert "second" in load_registry(tmp_path / "b").sources


def test_a_missing_project_folder_is_no_plug_in(tmp_path):
    assert {one.kind for one in load_registry(tmp_path / "nothing").records} == {"built-in"}


BAD = {
    "a syntax error": ("def broken(:\n", "SyntaxError"),
    "a missing import": ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named 'no_such_module_anywhere' at mine.py:1"),
    "an exception while importing": ("1 / 0", "ZeroDivisionError"),
    "an attempt to end the process": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "an interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "no hook": ("x = 1", "declares no connectors"),
    "a mistyped hook": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_source(): return []", "did you mean 'seg_sources'?"),
    "a hook with unknown arguments": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(api): return []", "api"),
    "a hook that fails": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): return {}['x']", "seg_sources failed: KeyError"),
    "a hook that ends the process": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): raise SystemExit", "SystemExit"),
    "a hook that returns nothing": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): pass", "returned NoneType"),
    "a hook that returns a class": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): return int", "must return a list"),
    "a hook that yields": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): yield int", "must return a list"),
    "an instance instead of a class": ("from seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): return [1]", "must be given as a class"),
    "a class without meta": (GOOD.replace("meta =", "other ="), "`meta` must be a ConnectorMeta"),
    "a newer interface": (GOOD.replace('id="{id}"', 'id="acme", api=99'), "upgrade seg-assets"),
    "an older interface": (GOOD.replace('id="{id}"', 'id="acme", api=0'), "upgrade the plug-in"),
    "a range of newer interfaces": (
        GOOD.replace('id="{id}"', 'id="acme", api=">=2,<3"'),
        "written for interface version >=2,<3, this is 1; upgrade seg-assets",
    ),
    "a range of older interfaces": (GOOD.replace('id="{id}"', 'id="acme", api=">=0,<1"'), "upgrade the plug-in"),
    "an interface version that is none": (GOOD.replace('id="{id}"', 'id="acme", api="1.x"'), "must be a number or a range such as"),
    "limits without a source": (GOOD.replace('id="{id}"', 'id="acme", limits=("100 per second",)'), "must be a Limit with its source"),
    "an id with capitals": (GOOD.format(id="Acme"), "must be lower-case"),
    "a config model of another kind": (GOOD.replace("config_model = Config", "config_model = dict"), "`config_model` must be"),
    "a missing method": (GOOD.replace("def watermark", "def other"), "the method watermark is missing"),
    "a missing parameter": (
        GOOD.replace("(self, stream, cursor, context)", "(self, stream, context)"),
        "read must take (self, stream, cursor, context)",
    ),
    "a renamed parameter": (GOOD.replace("cursor, context", "state, context"), "read must take"),
    "a check that wants more": (
        GOOD.replace("def streams", "def check(self, context, more): ...\n    def streams"),
        "check must take (self, context)",
    ),
    "an async method": (GOOD.replace("def streams", "async def streams"), "must not be async"),
    "a constructor that wants more": (GOOD.replace("__init__(self, config)", "__init__(self, config, client)"), "the constructor must take"),
    "an id that is taken": (GOOD.format(id="files"), "the source id 'files' is already taken by the plug-in 'files' (connectors.files)"),
    "one id twice": (GOOD.replace("[Acme]", "[Acme, type('Other', (Acme,), {{}})]").format(id="acme"), "used by two classes"),
    "a class that can't be looked at": (
        GOOD.replace("class Acme:", "class M(type):\n    @property\n    def meta(cls): raise SystemExit\n\nclass Acme(metaclass=M):").replace(
            "    meta =", "    x ="
        ),
        "SystemExit",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_broken_plug_in_is_named_and_the_rest_loads(what, plugin):
    code, message = BAD[what]
    plugin("mine", code.replace("{id}", "acme").replace("{{}}", "{}") if "class Acme" in code else code)
    registry = load_registry(plugin("other", GOOD.format(id="other")))
    assert set(broken(registry)) == {"mine"}
    assert message in record(registry, "mine").error
    assert {"files", "shop", "other"} <= set(registry.sources)


def test_a_file_that_is_no_python_name_says_so(plugin):
    assert "not a Python name" in record(load_registry(plugin("my-source", GOOD.format(id="acme"))), "my-source").error


def test_sound_connectors_of_a_plug_in_with_an_unsound_one_are_kept(plugin):
    folder = plugin("mine", GOOD.format(id="acme").replace("[Acme]", "[int, Acme]"))
    registry = load_registry(folder)
    assert "acme" in registry.sources
    assert "int" in record(registry, "mine").error


def test_a_source_and_a_destination_may_share_an_id(plugin):
    folder = plugin("mine", GOOD.format(id="webhook"))
    registry = load_registry(folder)
    assert not broken(registry)
    assert registry.source("webhook") is not registry.destination("webhook")


def test_an_entry_point_that_leads_nowhere_is_named(package):
    package("seg-acme", GOOD.format(id="acme"), target="seg_acme:nothing")
    registry = load_registry()
    assert "AttributeError" in record(registry, "seg-acme").error
    assert "files" in registry.sources


def test_broken_metadata_of_another_distribution_hides_nobody(package, tmp_path, monkeypatch, caplog):
    package("seg-acme", GOOD.format(id="acme"))
    info = tmp_path / "broken" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text("[anything]\nno equals sign\n")
    monkeypatch.syspath_prepend(str(info.parent))
    assert "acme" in load_registry().sources
    assert "its plug-ins are unknown" in caplog.text


def test_of_two_packages_with_one_id_the_first_by_name_wins(package):
    package("seg-b", GOOD.format(id="acme"))
    package("seg-a", GOOD.format(id="acme"))
    registry = load_registry()
    assert record(registry, "seg-a").connectors == ("acme",)
    assert "already taken by the plug-in 'seg-a' (seg-a 1.0)" in record(registry, "seg-b").error


def test_a_plug_in_that_never_finishes_importing_is_given_up(plugin):
    released = threading.Event()
    threading.plug_in_may_go_on = released
    try:
        plugin("mine", "import threading\nthreading.plug_in_may_go_on.wait()\n" + GOOD.format(id="acme"))
        registry = load_registry(plugin("other", GOOD.format(id="other")), timeout=1)
        assert "not loaded after 1 s" in record(registry, "mine").error
        assert "other" in registry.sources
        assert "acme" not in registry.sources
    finally:
        released.set()
        del threading.plug_in_may_go_on


def test_allow_list_loads_only_what_it_names_and_built_ins(package, plugin, monkeypatch):
    package("seg-acme", GOOD.format(id="acme"))
    folder = plugin("mine", "raise RuntimeError('must not be imported')")
    monkeypatch.setenv("SEG_PLUGINS", "Seg_Acme")
    registry = load_registry(folder)
    assert {"acme", "files"} <= set(registry.sources)
    assert record(registry, "mine").disabled_by == "SEG_PLUGINS"
    assert not broken(registry)


def test_deny_list_switches_off_by_name_or_distribution(package, plugin, monkeypatch):
    package("seg-acme", "raise RuntimeError('must not be imported')")
    folder = plugin("mine", GOOD.format(id="mine"))
    monkeypatch.setenv("SEG_PLUGINS_DISABLED", "seg.acme, webhook")
    registry = load_registry(folder)
    assert "webhook" not in registry.destinations
    assert record(registry, "seg-acme").disabled_by == "SEG_PLUGINS_DISABLED"
    assert not broken(registry)


def test_a_list_that_names_nothing_known_is_warned_about(monkeypatch, caplog):
    monkeypatch.setenv("SEG_PLUGINS_DISABLED", "no-such-plug-in")
    load_registry()
    assert "SEG_PLUGINS_DISABLED names plug-ins that were not found: no-such-plug-in" in caplog.text


@pytest.mark.parametrize("api", ['"1"', "1.0", '">= 1 , < 2 "', '">=1"', '">=0,<9"'])
def test_a_range_that_holds_this_interface_is_let_in_and_nonsense_is_not(plugin, api):
    registry = load_registry(plugin("mine", GOOD.replace('id="{id}"', f'id="acme", api={api}')))
    assert ("acme" in registry.sources) is api.startswith('">')


DESTINATION = """
from seg_assets.sdk import Capability, Config, ConnectorMeta, hookimpl

class Acme:
    meta = ConnectorMeta(id="acme", title="Acme", description="To Acme.", capabilities=frozenset({declared}))
    config_model = Config

    def __init__(self, config): ...
    def objects(self): return []
    def deliver(self, object, batch, context): return {{}}
    {method}

@hookimpl
def seg_destinations():
    return [Acme]
"""


@pytest.mark.parametrize(
    ("declared", "method", "fault"),
    [
        ("[Capability.ERASE]", "def erase(self, object, keys, context): ...", None),
        ("[Capability.ERASE]", "", "declares the capability erase, but the method erase is missing"),
        ("[Capability.ERASE]", "def erase(self, keys): ...", "but erase must take (self, object, keys, context)"),
        ("[Capability.BULK]", "def submit(self, object, job, batch, context): ...", "the method poll is missing"),
        ("[]", "def read_back(self, object, audience, keys, context): ...", "has read_back, but does not declare the capability read_back"),
        ("['magic']", "", "'magic' is no capability"),
    ],
)
def test_what_a_destination_declares_and_what_it_has_must_agree(plugin, declared, method, fault):
    registry = load_registry(plugin("mine", DESTINATION.format(declared=declared, method=method)))
    assert ("acme" in registry.destinations) is (fault is None)
    assert fault is None or fault in record(registry, "mine").error


PEOPLE = """
from seg_assets.sdk import Config, ConnectorMeta, hookimpl

class Finder:
    meta = ConnectorMeta(id="acme", title="Acme", description="Knows people.")
    config_model = Config

    def __init__(self, config): ...
    def fields(self): return []
    def quote(self, subjects, fields, context): ...
    def enrich(self, subjects, fields, context): ...
    def purge(self, subjects, context): ...

class Consents:
    meta = Finder.meta
    config_model = Config

    def __init__(self, config): ...
    def purposes(self, context): return []
    def decide(self, subjects, purpose, context): return {}
    def changes(self, cursor, context): ...

@hookimpl
def seg_enrichers(): return [Finder]

@hookimpl
def seg_consent_providers(): return [Consents]

@hookimpl
def seg_normalisers(): return {"acme.email@2026-01": str.lower}
"""


def test_enrichers_consent_providers_and_normalisers_come_through_hooks_too(plugin):
    registry = load_registry(plugin("mine", PEOPLE))
    assert not broken(registry)
    assert registry.enricher("acme").__name__ == "Finder"
    assert registry.consent_provider("acme").__name__ == "Consents"
    assert registry.normalisers["acme.email@2026-01"]("Ann@X.org") == "ann@x.org"
    assert record(registry, "mine").hooks == ("seg_consent_providers", "seg_enrichers", "seg_normalisers")
    with pytest.raises(ConfigError, match="'acme' is of another kind: enricher, consent provider"):
        registry.source("acme")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("def quote", "def price"), "Finder: the method quote is missing"),
        (("def decide(self, subjects, purpose", "def decide(self, subjects"), "Consents: decide must take"),
        (('"acme.email@2026-01"', '"email"'), "must be named like 'meta.email@2026-01'"),
        (('{"acme.email@2026-01": str.lower}', "[str.lower]"), "seg_normalisers must return a dictionary"),
    ],
)
def test_each_kind_is_checked(plugin, change, fault):
    assert fault in record(load_registry(plugin("mine", PEOPLE.replace(*change))), "mine").error


POLICIES = """
from pydantic import SecretStr
from seg_assets.sdk import hookimpl

heard = []

@hookimpl
def seg_gate(plan): return f"{{plan.operations['remove']}} removals" if plan.operations["remove"] > 5 else None

@hookimpl
def seg_secret(name): return SecretStr("canary") if name == "CRM_KEY" else None

@hookimpl
def seg_event(event): heard.append(event.state)
"""
FAILING = """
from seg_assets.sdk import hookimpl

@hookimpl
def seg_gate(plan): raise RuntimeError("no answer from the calendar")

@hookimpl
def seg_secret(name): raise RuntimeError("canary")

@hookimpl
def seg_event(event): raise SystemExit
"""


def plan(removals):
    return PlanSummary("crm", "members", datetime(2026, 1, 1, tzinfo=UTC), {"add": 1, "update": 0, "remove": removals})


def event(state):
    return DeliveryEvent("crm", "members", datetime(2026, 1, 1, tzinfo=UTC), state)


def test_policies_are_asked_one_by_one(plugin):
    registry = load_registry(plugin("mine", POLICIES.replace("{{", "{").replace("}}", "}")))
    assert registry.refusals(plan(6)) == ["mine: 6 removals"]
    assert registry.refusals(plan(5)) == []
    assert registry.secret("CRM_KEY").get_secret_value() == "canary"
    assert registry.secret("OTHER") is None
    registry.tell(event("finished"))
    (_, observer), *_ = registry.policies["seg_event"]
    assert observer.get_hookimpls()[0].plugin.heard == ["finished"]


def test_a_gate_that_fails_refuses_and_an_observer_that_fails_harms_nobody(plugin, caplog):
    plugin("a_failing", FAILING)
    registry = load_registry(plugin("mine", POLICIES.replace("{{", "{").replace("}}", "}")))
    (refusal,) = registry.refusals(plan(0))
    assert refusal.startswith("a_failing: the gate failed: RuntimeError: no answer from the calendar")
    registry.tell(event("started"))
    assert "'a_failing': seg_event failed: SystemExit" in caplog.text
    assert dict(registry.policies["seg_event"])["mine"].get_hookimpls()[0].plugin.heard == ["started"]
    with pytest.raises(ConfigError, match="failed to look up the secret CRM_KEY: RuntimeError") as error:
        registry.secret("CRM_KEY")
    assert "canary" not in str(error.value)


def test_the_trace_shows_calls_and_results_but_no_secret(plugin, monkeypatch, capsys):
    monkeypatch.setenv("SEG_TRACE_PLUGINS", "1")
    registry = load_registry(plugin("mine", POLICIES.replace("{{", "{").replace("}}", "}")))
    registry.secret("CRM_KEY")
    shown = capsys.readouterr().err
    assert "plug-in files: seg_sources gave FilesSource in " in shown
    assert "plug-in mine: seg_secret gave an answer in " in shown
    assert "canary" not in shown


def test_a_hook_that_never_answers_is_given_up(plugin):
    released = threading.Event()
    threading.hook_may_go_on = released
    try:
        plugin("mine", "import threading\nfrom seg_assets.sdk import hookimpl\n@hookimpl\ndef seg_sources(): threading.hook_may_go_on.wait()")
        registry = load_registry(plugin("other", GOOD.format(id="other")), timeout=1)
        assert "not loaded after 1 s" in record(registry, "mine").error
        assert "other" in registry.sources
    finally:
        released.set()
        del threading.hook_may_go_on


def test_the_doctor_names_what_is_broken_and_says_so_by_its_exit_code(tmp_path):
    init_project(tmp_path / "p")
    assert CliRunner().invoke(doctor, ["--project", str(tmp_path / "p")]).exit_code == 0
    (tmp_path / "p" / "connectors").mkdir(exist_ok=True)
    (tmp_path / "p" / "connectors" / "mine.py").write_text("import no_such_module_anywhere")
    told = CliRunner().invoke(doctor, ["--project", str(tmp_path / "p"), "--json"])
    assert told.exit_code == 1
    states = {row["plug-in"]: (row["state"], row["reason"]) for row in json.loads(told.stdout)}
    assert states["files"] == ("ok", "")
    assert states["mine"][0] == "broken"
    assert "no_such_module_anywhere" in states["mine"][1]


def test_unknown_connector_suggests_what_was_meant():
    with pytest.raises(ConfigError, match=r"no source connector 'file' \(did you mean 'files'\?"):
        load_registry().source("file")


def test_a_destination_asked_for_as_a_source_is_told_apart():
    with pytest.raises(ConfigError, match="'webhook' is of another kind: destination"):
        load_registry().source("webhook")


def test_unknown_connector_names_the_broken_plug_in_that_may_be_the_cause(plugin):
    registry = load_registry(plugin("acme", "import no_such_module_anywhere"))
    with pytest.raises(ConfigError, match=r"plug-in 'acme' .* is broken and may be the cause: .*no_such_module_anywhere"):
        registry.source("acme")


def test_unknown_connector_names_the_plug_in_that_is_switched_off(monkeypatch):
    monkeypatch.setenv("SEG_PLUGINS_DISABLED", "webhook")
    with pytest.raises(ConfigError, match=r"'webhook' .* is switched off by SEG_PLUGINS_DISABLED"):
        load_registry().destination("webhook")


def test_the_graph_loads_with_every_broken_plug_in_at_once(plugin, tmp_path):
    released = threading.Event()
    threading.plug_in_may_go_on = released
    try:
        for number, (code, _) in enumerate(BAD.values()):
            plugin(f"broken_{number}", code.replace("{id}", f"broken_{number}"))
        folder = plugin("endless", "import threading\nthreading.plug_in_may_go_on.wait()")
        (tmp_path / "people.csv").write_text("contact_id,email\n1,ann@example.org\n")
        (tmp_path / "project.yaml").write_text(
            "project: shop\nconnections:\n  people: {connector: files, config: {path: people.csv}}\n  mine: {connector: endless}\n"
        )
        registry = load_registry(folder, timeout=2)
        assert len(broken(registry)) == len(BAD) + 1
        keys = build_defs(project=tmp_path, registry=registry, automation=False).resolve_asset_graph().get_all_asset_keys()
        assert {"raw/people/rows", "raw/mine/unavailable", "segments/memberships"} <= {key.to_user_string() for key in keys}
    finally:
        released.set()
        del threading.plug_in_may_go_on
