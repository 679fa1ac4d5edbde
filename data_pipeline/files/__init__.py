"""Writes files atomically, locks them and reads them line by line."""

from data_pipeline.files.atomic import (
    FileError,
    check_separate,
    make_folder,
    open_atomically,
    partial_folder,
    remove_partials,
    replace_folder,
    write_bytes,
    write_json,
    write_text,
)
from data_pipeline.files.json_lines import (
    RowError,
    append_row,
    encode_row,
    mend_last_line,
    parse_json,
    parse_row,
    read_decompressed,
    read_numbered_lines,
    read_rows,
    write_rows,
)
from data_pipeline.files.locks import LockError, hold_lock, lock_file, unlock_file
from data_pipeline.files.ownership import (
    check_folder_ours,
    check_replaceable,
    has_fields,
    is_page,
)

__all__ = [
    "FileError",
    "LockError",
    "RowError",
    "append_row",
    "check_folder_ours",
    "check_replaceable",
    "check_separate",
    "encode_row",
    "has_fields",
    "hold_lock",
    "is_page",
    "lock_file",
    "make_folder",
    "mend_last_line",
    "open_atomically",
    "parse_json",
    "parse_row",
    "partial_folder",
    "read_decompressed",
    "read_numbered_lines",
    "read_rows",
    "remove_partials",
    "replace_folder",
    "unlock_file",
    "write_bytes",
    "write_json",
    "write_rows",
    "write_text",
]
