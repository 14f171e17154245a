import subprocess
import sys


def test_importing_arvo_time_does_not_import_asyncio() -> None:
    code = (
        "import sys, arvo_time, arvo_time.logs, arvo_time.settings; print('asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
