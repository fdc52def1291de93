"""Canonical TOML: a tree of tables as one text, always the same for the same tree."""

import json
from collections.abc import Mapping
from typing import Any


def text(tree: Mapping[str, Any], path: str = "") -> str:
    """Values first, then the tables below, each in the tree's own order."""
    lines = [f"{key} = {value(each)}" for key, each in tree.items() if not isinstance(each, dict)]
    if path and (lines or not tree):
        lines.insert(0, f"[{path}]")
    blocks = ["".join(line + "\n" for line in lines)] if lines else []
    for key, each in tree.items():
        if isinstance(each, dict):
            blocks.append(text(each, f"{path}.{key}" if path else key))
    return "\n".join(blocks)


def value(told: Any) -> str:
    """One value as it stands behind its key."""
    if isinstance(told, bool):
        return "true" if told else "false"
    if isinstance(told, str):
        # JSON's strings are TOML's, but for the one control character that JSON lets pass.
        return json.dumps(told, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(told, list | tuple):
        return f"[{', '.join(map(value, told))}]"
    if isinstance(told, dict):
        return "{" + ", ".join(f"{key} = {value(each)}" for key, each in told.items()) + "}"
    return repr(told)
