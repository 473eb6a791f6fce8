"""Loading the registry stays light."""

import subprocess
import sys


def test_loading_all_built_ins_imports_no_heavy_library():
    code = "import sys; from connectors.registry import load_registry; load_registry(); print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {"pandas", "httpx", "sklearn", "scipy", "matplotlib", "lightgbm", "starlette", "uvicorn", "dagster"}
