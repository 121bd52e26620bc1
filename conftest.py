"""What pytest leaves out where the extra that a file stands on is not installed."""

from __future__ import annotations

from importlib.util import find_spec

_ON_TORCH = ("network", "parts", "passes", "persample", "stacks")

collect_ignore = (
    [] if find_spec("torch") else [f"fedcredit/measures/{name}.py" for name in _ON_TORCH]
)
if not find_spec("onnx"):
    collect_ignore.append("fedcredit/scoring/onnx_graph.py")
