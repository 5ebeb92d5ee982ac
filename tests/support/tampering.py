"""Descriptions changed as hostile or broken tools might: other values, keys and bytes."""

from __future__ import annotations

import json
import random
import struct
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ESCAPES = ("../escaped", "../../escaped", "a/../../../escaped", "/nonexistent/escaped")

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 0.5, -0.0, 1e308, 3**50, 10**18, 2**63 - 1, 2**63, 10**10),
    *("", "x", "a\nb", "\x00", "\x1b[31m", "é" * 300, "0" * 32, ".", "..", *ESCAPES),
    *([], {}, [[]], [None], [1, 2, 3], ["a", "b"], {"a": 1}, {"": []}, [[["a", 1]]]),
)


def tamper(text: str, rng: random.Random, write: Any = json.dumps, read: Any = json.loads) -> bytes:
    """A document changed in one to three ways."""
    if rng.random() < 0.2:
        return _damage(text.encode(), rng)
    tree = read(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        tree = _change(tree, rng)
    written = write(tree)
    if write is json.dumps and rng.random() < 0.1:
        key = json.dumps(rng.choice(list(tree)) if isinstance(tree, dict) and tree else "x")
        written = written.rstrip()[:-1] + f", {key}: {json.dumps(rng.choice(VALUES))}" + "}"
    return str(written).encode("utf-8", "surrogatepass")


def _damage(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    kind = rng.randrange(6)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + rng.randbytes(rng.randrange(1, 20)) + data[place:]
    if kind == 2:
        return rng.randbytes(rng.randrange(100))
    if kind == 3:
        return b"[" * 100_000 + b"]" * 100_000
    if kind == 4:
        return data.replace(b"1", b"9" * 5000, 1).replace(b"0", b"NaN", rng.randrange(2))
    return data[:place] + rng.choice((b"\\ud800", b'"', b"{", b"]", b",", b"\0")) + data[place:]


def _paths(tree: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a tree is."""
    items: Any = ()
    if isinstance(tree, dict):
        items = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree[:4])  # what follows is alike
    return [above, *(path for key, value in items for path in _paths(value, (*above, key)))]


def _change(tree: Any, rng: random.Random) -> Any:
    paths = _paths(tree)
    # As often near the top, where there are few values, as below.
    depth = rng.randrange(max(map(len, paths)) + 1)
    path = rng.choice([path for path in paths if len(path) == depth] or paths)
    if not path:
        return deepcopy(rng.choice(VALUES)) if rng.random() < 0.3 else tree
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    kind = rng.randrange(8)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(("", "x", "spec", key + "x", *ESCAPES))] = parent.pop(key)
    elif kind == 2:
        nested: Any = parent[key]
        for _ in range(rng.choice((2, 30, 150))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        parent[key] = nested
    elif kind == 3:
        other: Any = tree
        for step in rng.choice(paths):
            other = other[step] if isinstance(other, list | dict) and _has(other, step) else other
        parent[key] = json.loads(json.dumps(other))
    elif kind == 4 and isinstance(parent, list):
        parent *= rng.choice((0, 2, 50))
    else:
        parent[key] = deepcopy(rng.choice(VALUES))
    return tree


def _has(tree: Any, step: Any) -> bool:
    return step in tree if isinstance(tree, dict) else isinstance(step, int) and step < len(tree)


def tamper_file(path: Path, rng: random.Random) -> None:
    """Change a description where it is: JSON, TOML, metadata of Parquet, header of safetensors."""
    if path.suffix == ".json":
        path.write_bytes(tamper(path.read_text(), rng))
    elif path.suffix == ".toml":
        path.write_bytes(tamper(path.read_text(), rng, _toml, tomllib.loads))
    elif path.suffix == ".parquet":
        _tamper_metadata(path, rng)
    else:
        _tamper_header(path, rng)


def _tamper_metadata(path: Path, rng: random.Random) -> None:
    if rng.random() < 0.1:
        data = path.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data))])
        return
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    key = next(key for key in metadata if key.startswith(b"bapps_gen"))
    metadata[key] = tamper(metadata[key].decode(), rng)
    kind = rng.randrange(6)
    if kind == 0:
        del metadata[key]
    elif kind == 1:
        table = table.drop_columns([rng.choice(table.column_names)])
    elif kind == 2:
        name = rng.choice(table.column_names)
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array([0] * table.num_rows))
    pq.write_table(table.replace_schema_metadata(metadata), path)


def _tamper_header(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header, weights = json.loads(data[8 : 8 + size]), data[8 + size :]
    if rng.random() < 0.2:
        changed = tamper(json.dumps(header), rng)
    else:
        text = tamper(header["__metadata__"]["bapps_gen"], rng).decode(errors="replace")
        header["__metadata__"]["bapps_gen"] = text
        changed = json.dumps(header).encode()
    size = len(changed) if rng.random() < 0.9 else rng.choice((0, 10**18, 2**64 - 1))
    path.write_bytes(struct.pack("<Q", size) + changed + weights)


def _toml(value: Any, top: bool = True) -> str:
    if isinstance(value, dict) and top:
        return "\n".join(f"{_key(key)} = {_toml(item, False)}" for key, item in value.items())
    if isinstance(value, dict):
        items = ", ".join(f"{_key(key)} = {_toml(item, False)}" for key, item in value.items())
        return f"{{{items}}}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item, False) for item in value)}]"
    return '""' if value is None else json.dumps(value)


def _key(key: Any) -> str:
    return json.dumps(str(key))
