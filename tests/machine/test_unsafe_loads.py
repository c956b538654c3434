"""No line of ours reads a file in a way that could run what is in it, or looks for modules where data lie."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "src" / "labelloop"
BANNED = {
    "pickle.load",
    "pickle.Unpickler",
    "pickle.loads",
    "joblib.load",
    "dill.load",
    "dill.loads",
    "cloudpickle.load",
    "cloudpickle.loads",
    "marshal.load",
    "marshal.loads",
    "shelve.open",
    "pandas.read_pickle",
    "yaml.load",
    "yaml.unsafe_load",
    "torch.jit.load",
    "runpy.run_path",
    "os.system",
    "os.popen",
    "sys.path.append",
    "sys.path.insert",
}
OURS = {
    ("machine/modules.py", "pickle.loads"),  # of the process that started this one
    ("backends/label_studio/bootstrap.py", "sys.path.insert"),  # of Label Studio's own process, its own package
}


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _said(call: ast.Call, name: str) -> object:
    return next(
        (one.value.value for one in call.keywords if one.arg == name and isinstance(one.value, ast.Constant)), None
    )


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_loaded_in_a_way_that_runs_it(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    if where.startswith("testing/"):
        return  # contracts that pickle their own objects
    for name, call in _calls(path):
        assert name not in BANNED or (where, name) in OURS, f"{where}:{call.lineno} {name}"
        assert name not in ("eval", "exec", "__import__"), f"{where}:{call.lineno} {name}"
        if name in ("np.load", "numpy.load"):
            assert _said(call, "allow_pickle") is False, f"{where}:{call.lineno} without allow_pickle=False"
        if name == "torch.load":
            assert _said(call, "weights_only") is True, f"{where}:{call.lineno} without weights_only=True"
        assert not any(one.arg == "shell" for one in call.keywords), f"{where}:{call.lineno} through a shell"
        assert not name.endswith("register_custom_ops_library"), f"{where}:{call.lineno}"
