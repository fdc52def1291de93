"""Results: five tables, the same for both fidelities, and how they lie in files.

Every column is decided by integers, or by one exact division; so one seed gives the same bytes on
any machine, by the same versions of this program and of pyarrow.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from meshpacs.model.errors import Damaged

Format = Literal["parquet", "csv"]

QUERIES = pa.schema(
    [
        ("query", pa.int32()),
        ("asked_us", pa.int64()),
        ("origin", pa.int32()),
        ("content", pa.int32()),
        ("ended", pa.string()),
        ("warm_up", pa.bool_()),
        ("copies", pa.int32()),
        ("copies_up", pa.int32()),
        ("discovered", pa.bool_()),
        ("retrievable", pa.bool_()),
        ("copies_found", pa.int32()),
        ("messages", pa.int64()),
        ("bytes", pa.int64()),
        ("duplicates", pa.int64()),
        ("hops", pa.int32()),
        ("latency_us", pa.int64()),
        ("took_us", pa.int64()),
        ("reached", pa.int32()),
        ("coverage", pa.float64()),
        ("complete", pa.bool_()),
    ]
)
"""One row for each query, in the order in which they were asked. docs/SIMULATOR.md tells each."""

LOADS = pa.schema(
    [
        ("node", pa.int32()),
        ("received", pa.int64()),
        ("received_bytes", pa.int64()),
        ("sent", pa.int64()),
        ("sent_bytes", pa.int64()),
    ]
)
"""One row for each node: what searches made it handle. The kernel knows `received` alone."""

MESSAGES = pa.schema(
    [
        ("purpose", pa.string()),
        ("type", pa.string()),
        ("messages", pa.int64()),
        ("bytes", pa.int64()),
    ]
)
"""One row for each type of message; the purpose is `search` or `upkeep`."""

AVAILABILITY = pa.schema(
    [
        ("when_us", pa.int64()),
        ("nodes_up", pa.int32()),
        ("contents_available", pa.int32()),
        ("copies", pa.int64()),
        ("copies_up", pa.int64()),
    ]
)
"""One row for each moment at which copies were counted."""

TOTALS = pa.schema([("what", pa.string()), ("value", pa.float64())])
"""Numbers of the whole run that belong to no row of the others."""

SCHEMAS: Mapping[str, Any] = {
    "queries": QUERIES,
    "loads": LOADS,
    "messages": MESSAGES,
    "availability": AVAILABILITY,
    "totals": TOTALS,
}


@dataclass(frozen=True, eq=False)
class Results:
    """What one run has shown; each a pyarrow table by the schema above of the same name."""

    queries: Any
    loads: Any
    messages: Any
    availability: Any
    totals: Any

    def files(self, form: Format = "parquet") -> dict[str, bytes]:
        """The tables as files, by name."""
        made = {}
        for each in fields(self):
            made[f"{each.name}.{form}"] = _bytes(getattr(self, each.name), form)
        return made


def table(name: str, columns: Mapping[str, Any]) -> Any:
    """A table by its schema; columns that are not given are null."""
    schema, length = SCHEMAS[name], len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(length, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def read(folder: Path) -> Results:
    """The results that lie in a folder, of either format.

    Raises:
        Damaged: a table is missing or cannot be read.
    """
    tables = {}
    for name, schema in SCHEMAS.items():
        parquet, csv = folder / f"{name}.parquet", folder / f"{name}.csv"
        try:
            if parquet.exists():
                tables[name] = pyarrow.parquet.read_table(parquet, schema=schema)
            else:
                types = pyarrow.csv.ConvertOptions(column_types=schema)
                tables[name] = pyarrow.csv.read_csv(csv, convert_options=types)
        except (OSError, pa.ArrowInvalid) as error:
            raise Damaged(
                f"{folder} has no table {name} that can be read: {error}.",
                "Run the scenario again.",
            ) from error
    return Results(**tables)


def _bytes(rows: Any, form: Format) -> bytes:
    sink = io.BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(rows, sink)
    else:
        pyarrow.parquet.write_table(rows, sink, compression="zstd")
    return sink.getvalue()
