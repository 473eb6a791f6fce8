"""Whether a Parquet file can be landed as it is. The file itself is not changed or copied."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 16_384


def parquet_fault(path: Path) -> str:
    """Why a Parquet file can't be landed, or "". Every page is decoded once: a file broken in the middle would break each query on its table.

    Raises:
        OSError: the file can't be opened.
    """
    with path.open("rb") as raw:
        try:
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            names = [name.casefold() for name in file.schema_arrow.names]
            if not names:
                return "a Parquet file without columns"
            if len(set(names)) < len(names):
                return "two columns have the same name (case is ignored)"
            rows = sum(batch.num_rows for batch in file.iter_batches(_ROWS))
        except (pa.ArrowException, OSError, ValueError) as error:
            return f"not a complete Parquet file ({type(error).__name__})"
        if rows != file.metadata.num_rows:
            return f"its footer promises {file.metadata.num_rows:,} rows, it holds {rows:,}"
    return ""
