"""Writes files atomically, locks them and reads them line by line; see `paths` for object stores.

Where a user names a path, take it with `as_path`. The functions here then do what they say on a
local disk and in an object store alike.
"""

from data_pipeline.files.appended import AppendedFile, open_appended
from data_pipeline.files.atomic import (
    built_folder,
    check_outside,
    check_separate,
    is_same_place,
    make_folder,
    open_atomically,
    partial_folder,
    remove_partials,
    replace_folder,
    write_bytes,
    write_json,
    write_text,
)
from data_pipeline.files.cache import CACHE_VARIABLE, cache_folder
from data_pipeline.files.exclusive import open_exclusively
from data_pipeline.files.file_error import FileError
from data_pipeline.files.json_lines import (
    RowError,
    append_row,
    check_id,
    check_text,
    encode_row,
    mend_last_line,
    parse_json,
    parse_row,
    read_decompressed,
    read_numbered_lines,
    read_rows,
    write_rows,
)
from data_pipeline.files.local_copies import local_copy, place_of_copy
from data_pipeline.files.lock_error import LockError
from data_pipeline.files.locks import HeldLock, hold_lock, lock_file, unlock_file
from data_pipeline.files.ownership import (
    check_continuable,
    check_folder_ours,
    check_has_folder,
    check_output,
    check_replaceable,
    has_fields,
    is_page,
)
from data_pipeline.files.path_flags import (
    check_given_path,
    check_path,
    local_path_flag,
    named_path,
    path_flag,
    path_text,
    path_texts,
)
from data_pipeline.files.paths import AnyPath, as_path, is_remote
from data_pipeline.files.text_files import read_program, read_text, refuse_named_pipe
from data_pipeline.files.unfinished import is_unfinished, mark_finished, mark_unfinished
from data_pipeline.files.versions import file_versions

__all__ = [
    "CACHE_VARIABLE",
    "AnyPath",
    "AppendedFile",
    "FileError",
    "HeldLock",
    "LockError",
    "RowError",
    "append_row",
    "as_path",
    "built_folder",
    "cache_folder",
    "check_continuable",
    "check_folder_ours",
    "check_given_path",
    "check_has_folder",
    "check_id",
    "check_output",
    "check_outside",
    "check_path",
    "check_replaceable",
    "check_separate",
    "check_text",
    "encode_row",
    "file_versions",
    "has_fields",
    "hold_lock",
    "is_page",
    "is_remote",
    "is_same_place",
    "is_unfinished",
    "local_copy",
    "local_path_flag",
    "lock_file",
    "make_folder",
    "mark_finished",
    "mark_unfinished",
    "mend_last_line",
    "named_path",
    "open_appended",
    "open_atomically",
    "open_exclusively",
    "parse_json",
    "parse_row",
    "partial_folder",
    "path_flag",
    "path_text",
    "path_texts",
    "place_of_copy",
    "read_decompressed",
    "read_numbered_lines",
    "read_program",
    "read_rows",
    "read_text",
    "refuse_named_pipe",
    "remove_partials",
    "replace_folder",
    "unlock_file",
    "write_bytes",
    "write_json",
    "write_rows",
    "write_text",
]
