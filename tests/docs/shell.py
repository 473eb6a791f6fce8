"""Running what a page tells its reader to type, without network: `uv run X` is X in the environment of the tests."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHIMS = {
    "pip": '[ "$*" = "install uv" ] || { echo "unexpected: pip $*" >&2; exit 1; }\n',
    "uv": '[ "$1" = run ] || { echo "unexpected: uv $*" >&2; exit 1; }\nshift\nexec "$@"\n',
}
EDITS = {r"\bseg demo\b": "seg demo --customers 200", r"\buv run pytest$": "uv run pytest --version"}
"""What is typed here instead: a smaller demo; and these tests can't run all tests, themselves included."""

SERVERS = re.compile(r"(uv run )?(seg ui|dg dev|dagster dev|dagster-webserver|dagster-daemon)\b")
SECONDS = 900
GRAPH = """{ assetNodes { assetKey { path } } workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    __typename ... on PythonError { message } } } } } }"""


@dataclass(frozen=True)
class Shell:
    """Bash in one folder.

    Args:
        folder: where commands run.
        path: folder of the shims.
        home: stands for the user's home.
    """

    folder: Path
    path: Path
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEG_", "DAGSTER_", "PYTEST_"))}
        path = os.pathsep.join([str(self.path), str(Path(sys.executable).parent), os.environ["PATH"]])
        return kept | {"PATH": path, "HOME": str(self.home), "COLUMNS": "200"}

    def run(self, text: str) -> str:
        """Standard output of a script that must succeed."""
        for pattern, replacement in EDITS.items():
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{text}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[Server]:
        """A server while the block runs, on a free port; then it and all it started are stopped."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = re.sub(r" --port \d+", "", command)
        if "daemon" not in command:
            command += f" --port {port}"
        log = self.home / f"{port}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.removeprefix('uv run ')}"],
                cwd=self.folder, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                yield Server(command, process, f"http://127.0.0.1:{port}", log)
            finally:
                stop(process)


@dataclass(frozen=True)
class Server:
    """A command that keeps running."""

    command: str
    process: subprocess.Popen = field(repr=False)
    url: str
    log: Path

    def wait_until_up(self) -> None:
        """Returns when the server answers; a daemon, when it has named the daemons it runs."""
        for _ in range(SECONDS * 5):
            if self._is_up():
                return
            try:
                self.process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"{self.command} ended\n{self.log.read_text()}")
        raise AssertionError(f"{self.command} does not answer\n{self.log.read_text()}")

    def _is_up(self) -> bool:
        if "daemon" in self.command:
            return "'SensorDaemon'" in self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5):
                return True
        except OSError:
            return False

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the answer."""
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def tables(self) -> set[str]:
        """The keys of the assets it shows, as text."""
        _, answer = self.post("/graphql", {"query": GRAPH})
        data = answer["data"]
        assert [e["locationOrLoadError"] for e in data["workspaceOrError"]["locationEntries"]] == [{"__typename": "RepositoryLocation"}]
        return {"/".join(node["assetKey"]["path"]) for node in data["assetNodes"]}


@contextmanager
def all_serving(shell: Shell, commands: list[str]) -> Iterator[list[Server]]:
    """Several servers at once, up."""
    with ExitStack() as stack:
        servers = [stack.enter_context(shell.serving(command)) for command in commands]
        for server in servers:
            server.wait_until_up()
        yield servers


def stop(process: subprocess.Popen) -> None:
    """Ends a process and everything in its session's group."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
