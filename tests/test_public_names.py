"""Public names change only on purpose: all of them are listed in `public_names.txt`."""

from pathlib import Path

from workspace import public_names

LIST = Path(__file__).with_name("public_names.txt")
REMEDY = """

Public names are a promise. If they are meant to change, say so in the CHANGELOG of the package, and
update the list. Resolve merge conflicts in that file the same way:

    python scripts/workspace.py public-names >tests/public_names.txt
"""


def test_public_names_are_those_of_the_list() -> None:
    listed = LIST.read_text("utf-8").splitlines()
    found = public_names()
    lines = [
        *(f"+ {name} is public but not listed" for name in sorted({*found} - {*listed})),
        *(f"- {name} is listed but not public" for name in sorted({*listed} - {*found})),
    ]
    assert not lines, "\n".join([f"{LIST.name} is not up to date:", *lines]) + REMEDY
    assert listed == found, f"{LIST.name} is not sorted, or has a name twice{REMEDY}"
