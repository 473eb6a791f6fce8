"""`seg sandbox` as a process: it serves, remembers, and ends when told to."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SEG = str(Path(sys.executable).with_name("seg"))


@pytest.fixture
def sandbox(tmp_path):
    """Starts the command; what it prints first, and the process."""
    started = []

    def start(*arguments):
        command = [SEG, "sandbox", "--port", "0", "--dir", str(tmp_path / "state"), "--json", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        started.append(process)
        return json.loads(process.stdout.readline()), process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_it_serves_remembers_and_ends_when_told_to(sandbox):
    told, process = sandbox("--vendor", "hubspot", "--vendor", "braze", "--customers", "40")
    assert list(told["vendors"]) == ["hubspot", "braze"]
    hubspot = told["vendors"]["hubspot"]
    headers = {"Authorization": f"Bearer {hubspot['private app token']}"}
    made = {"name": "VIP", "objectTypeId": "0-1", "processingType": "MANUAL"}
    assert httpx.post(f"{hubspot['url']}/crm/v3/lists", json=made, headers=headers, trust_env=False).status_code == 200
    held = {one["name"]: one["shelves"] for one in httpx.get(f"{told['page']}sandbox/state", trust_env=False).json()}
    assert held["hubspot"][0]["total"] > 20
    assert held["braze"][0]["total"] > 20
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    told, process = sandbox("--vendor", "hubspot", "--customers", "0")
    again = f"{told['vendors']['hubspot']['url']}/crm/v3/lists/object-type-id/0-1/name/VIP"
    assert httpx.get(again, headers=headers, trust_env=False).status_code == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_mistakes_are_told(sandbox, tmp_path):
    unknown = subprocess.run([SEG, "sandbox", "--vendor", "acme"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (unknown.returncode, "there is no stand-in 'acme'; there are braze, customerio, hubspot" in unknown.stderr) == (2, True)
    told, _ = sandbox("--vendor", "hubspot", "--customers", "0")
    port = told["page"].split(":")[2].strip("/")
    taken = subprocess.run([SEG, "sandbox", "--port", port, "--customers", "0"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (taken.returncode, f"port {port} can't be used" in taken.stderr) == (1, True)
