"""The files that a set from real algorithms was cut from: `outputs.parquet`, next to `data/`.

One row for each output, one row group for each algorithm, in the order of the dataset's images.
With it any output is recognized by content, and one that has changed is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from bapps_gen.errors import WorkError, first_line
from bapps_gen.manifests.dataset import Dataset
from bapps_gen.manifests.parquet import FileInfo, open_parquet, read_metadata
from bapps_gen.storage.atomic import whole_file
from bapps_gen.storage.locations import Location

OUTPUTS_NAME = "outputs.parquet"
OUTPUTS_FORMAT = 1
_METADATA = b"bapps_gen_outputs"

_FIELDS = (
    ("algorithm", pa.string(), "name of the algorithm"),
    ("source_path", pa.string(), "name of the ground-truth image, as in the rows"),
    ("output_path", pa.string(), "name of its output among those of the algorithm"),
    ("output_sha256", pa.string(), "SHA-256 of the output's encoded bytes"),
)

_REMEDY = "run the command that made the dataset again, or restore it from a copy"

OutputFiles = Sequence[tuple[str, str]]
"""(name, SHA-256) of one algorithm's output of every image, in order."""


def write_outputs(
    folder: Location,
    spec_digest: str,
    images: Sequence[str],
    outputs: Iterable[tuple[str, OutputFiles]],
) -> None:
    """Write the list, whole or not at all.

    Args:
        images: names of the ground-truth images.
        outputs: by algorithm, taken one after another.
    """
    fields = [
        pa.field(name, kind, metadata={"description": meaning}) for name, kind, meaning in _FIELDS
    ]
    own = {"format_version": OUTPUTS_FORMAT, "spec_digest": spec_digest}
    schema = pa.schema(fields, metadata={_METADATA: json.dumps(own, sort_keys=True)})
    with (
        whole_file(folder / OUTPUTS_NAME) as path,
        pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for algorithm, files in outputs:
            names, digests = zip(*files, strict=True)
            columns = [[algorithm] * len(files), images, names, digests]
            arrays = [pa.array(column, pa.string()) for column in columns]
            table = pa.Table.from_arrays(arrays, schema=schema)
            writer.write_table(table, row_group_size=len(files))


def copy_outputs(dataset: Dataset, folder: Location) -> None:
    """Copy the list of a dataset to another folder; most kinds have none.

    Raises:
        WorkError: when it is missing, or cannot be written.
    """
    if not dataset.info.outputs:
        return
    if not has_outputs(dataset.folder, dataset.info.digest):
        raise WorkError(f"{dataset.folder / OUTPUTS_NAME} is missing or damaged; {_REMEDY}")
    with whole_file(folder / OUTPUTS_NAME) as path:
        path.write_bytes((dataset.folder / OUTPUTS_NAME).read_bytes())


def has_outputs(folder: Location, spec_digest: str) -> bool:
    """Whether a folder has the list of a spec, by its footer."""
    try:
        with open_parquet(folder / OUTPUTS_NAME) as file:
            return _digest_of(file.schema_arrow) == spec_digest
    except (OSError, pa.ArrowInvalid):
        return False


def read_outputs(
    folder: Location, spec_digest: str, algorithms: Sequence[str]
) -> list[OutputFiles]:
    """The files of each algorithm.

    Raises:
        WorkError: when the list is missing, damaged or of another dataset.
    """
    path = folder / OUTPUTS_NAME
    try:
        with open_parquet(path) as file:
            if _digest_of(file.schema_arrow) != spec_digest:
                raise WorkError(f"{path} is of another dataset; {_REMEDY}")
            if file.num_row_groups != len(algorithms):
                raise WorkError(f"{path} has other algorithms than the dataset; {_REMEDY}")
            return [_read_group(file, group) for group in range(len(algorithms))]
    except FileNotFoundError:
        raise WorkError(f"{path} is missing; {_REMEDY}") from None
    except (OSError, pa.ArrowException) as error:
        raise WorkError(f"{path} is damaged ({first_line(error)}); {_REMEDY}") from None


def _read_group(file: pq.ParquetFile, group: int) -> OutputFiles:
    table = file.read_row_group(group, columns=["output_path", "output_sha256"])
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _digest_of(schema: pa.Schema) -> str | None:
    own = read_metadata(schema, _METADATA, FileInfo)
    return own.spec_digest if own is not None and own.format_version == OUTPUTS_FORMAT else None
