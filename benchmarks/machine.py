"""Facts about the machine that the figures were measured on."""

import gc
import os
import platform
import re
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from .measurement import ROUNDS


def machine_facts(*, seconds: float, cores_awake: bool) -> dict[str, Any]:
    """Describe machine, interpreter, packages and the way of measuring, as JSON.

    Call it after measuring: packages count when something has imported them.

    Args:
        seconds: How long one round of one benchmark takes.
        cores_awake: Whether idle cores were kept from sleeping.
    """
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_awake": cores_awake,
        "platform": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": _imported_packages(),
        "gc": {"enabled": gc.isenabled(), "threshold": list(gc.get_threshold())},
        "rounds": ROUNDS,
        "seconds": seconds,
    }


def _cpu_model() -> str:
    try:
        facts = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*:\s*(.+)$", facts, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


def _imported_packages() -> dict[str, str]:
    imported = {module.partition(".")[0].lower() for module in sys.modules}
    versions = {item.metadata["Name"].lower(): item.version for item in distributions()}
    return {
        name: versions[name]
        for name in sorted(versions)
        # A distribution is mostly named after its module, or its module is the first word.
        if name.replace("-", "_") in imported or name.partition("-")[0] in imported
    }
