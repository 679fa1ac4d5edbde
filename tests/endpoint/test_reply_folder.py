"""Tests that machines share an endpoint's replies in an object store, one object a reply."""

import pytest

from data_pipeline.endpoint.client import Reply, Usage
from data_pipeline.endpoint.reply_cache import ReplyCache, ReplyCacheError
from data_pipeline.endpoint.reply_folder import ReplyFolder, open_replies

REPLY = Reply(("a text é",), ("stop",), Usage(5, 7), tries=1)
KEY = "0f" * 16


def test_a_reply_is_found_by_all_who_open_the_folder(object_store):
    one, other = (open_replies(object_store.path("replies")) for _ in range(2))
    assert isinstance(one, ReplyFolder)
    assert other.get(KEY) is None
    one.put(KEY, REPLY)
    found = other.get(KEY)
    assert (found.texts, found.finish_reasons, found.usage) == (
        ("a text é",),
        ("stop",),
        REPLY.usage,
    )
    assert other.get("ab" * 16) is None


def test_what_is_no_reply_is_asked_again_and_a_failing_store_is_told(object_store, tmp_path):
    replies = open_replies(object_store.path("torn"))
    replies.put(KEY, REPLY)
    (replies._folder / f"{KEY}.json").write_bytes(b'{"key": "0f')
    assert replies.get(KEY) is None
    with object_store.failing(403), pytest.raises(ReplyCacheError, match="torn"):
        replies.put(KEY, REPLY)
    local = open_replies(tmp_path / "replies.jsonl")
    assert isinstance(local, ReplyCache)
    local.close()
