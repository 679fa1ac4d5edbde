"""Expands patterns of sources, such as gs://bucket/source/*.jsonl, to the sources that match."""

from data_pipeline.files import as_path
from data_pipeline.seeds import SeedError

_MARKS = frozenset("*?[")


def expand_source(source: str) -> list[str]:
    """Returns the files and folders that a pattern matches, sorted; `source` if it is no pattern.

    Raises SeedError if nothing matches.
    """
    if not _MARKS & set(source) or as_path(source).exists():
        return [source]
    parts = source.split("/")
    first = next(number for number, part in enumerate(parts) if _MARKS & set(part))
    folder = as_path("/".join(parts[:first]) or ("/" if source.startswith("/") else "."))
    found = sorted(str(path) for path in folder.glob("/".join(parts[first:])))
    if not found:
        raise SeedError(f"{source}: expected files or folders; none matches the pattern")
    return found
