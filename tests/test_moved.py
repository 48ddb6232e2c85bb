"""Former names of modules lead to the present ones: the same objects, with a warning that says where they are."""

import subprocess
import sys

import pytest

from gwa_attrib._moved import MOVED

CHECK = """
import importlib, sys, warnings
former, present = sys.argv[1:]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    old = importlib.import_module(former)
new = importlib.import_module(present)
assert old is new
assert (new.__name__, new.__spec__.name) == (present, present)
assert [w.category for w in caught if "is now" in str(w.message)] == [DeprecationWarning]
assert present in str(caught[0].message)
public = [name for name in dir(new) if not name.startswith("_")]
assert all(getattr(old, name) is getattr(new, name) for name in public)
importlib.reload(new)
"""


@pytest.mark.parametrize(("former", "present"), MOVED.items())
def test_a_former_name_is_the_present_module(former: str, present: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHECK, former, present], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
