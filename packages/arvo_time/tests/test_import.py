import subprocess
import sys


def test_asyncio_is_loaded_by_those_who_run_an_event_loop() -> None:
    code = (
        "import sys, arvo_time, arvo_time.logs, arvo_time.settings; print('asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
