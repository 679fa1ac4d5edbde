"""Holds the stand-in for Google Cloud Storage against Google's own client and TensorStore."""

import http.client

import pytest

from tests.support.object_stores import BUCKET

storage = pytest.importorskip("google.cloud.storage", reason="needs google-cloud-storage: pip")
exceptions = pytest.importorskip("google.api_core.exceptions")


@pytest.fixture
def bucket(object_store):
    client = storage.Client.create_anonymous_client()  # finds STORAGE_EMULATOR_HOST
    client.project = "test"
    return client.bucket(BUCKET)


def test_generations_and_preconditions(bucket):
    blob = bucket.blob("google/a b?#é.txt")
    blob.upload_from_string("one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("two", if_generation_match=0)
    blob.upload_from_string("two", if_generation_match=first)
    assert blob.generation > first and blob.download_as_bytes() == b"two"
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    with pytest.raises(exceptions.NotFound):
        bucket.blob("google/a b?#é.txt", generation=first).download_as_bytes()
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


def test_resumable_uploads_appear_when_complete(bucket, object_store):
    content = bytes(range(256)) * 4096
    blob = bucket.blob("google/large", chunk_size=256 * 1024)
    with blob.open("wb") as file:
        file.write(content[: 700 * 1024])
        assert not blob.exists()
        file.write(content[700 * 1024 :])
    blob.reload()
    assert blob.size == len(content) and blob.download_as_bytes() == content
    assert blob.download_as_bytes(start=1000, end=1300) == content[1000:1301]
    assert object_store.content("google", "large") == content


def test_listings_have_prefixes_and_pages(bucket):
    for name in ("list/a", "list/b/c", "list/b/d", "list/e"):
        bucket.blob(name).upload_from_string("x")
    names = bucket.list_blobs(prefix="list/", page_size=1)
    assert [blob.name for blob in names] == ["list/a", "list/b/c", "list/b/d", "list/e"]
    found = bucket.list_blobs(prefix="list/", delimiter="/")
    assert [blob.name for blob in found] == ["list/a", "list/e"]
    assert found.prefixes == {"list/b/"}
    copy = bucket.copy_blob(bucket.blob("list/a"), bucket, "list/copied")
    assert copy.download_as_bytes() == b"x"


def test_tensorstore_writes_under_preconditions(object_store):
    tensorstore = pytest.importorskip("tensorstore")
    store = tensorstore.KvStore.open({"driver": "gcs", "bucket": BUCKET, "path": "ts/"}).result()
    earlier = store.write(b"k", b"none").result()
    stamp = store.write(b"k", b"one").result()
    assert store.read(b"k").result().value == b"one"
    refused = store.write(b"k", b"two", if_equal=earlier.generation).result()
    assert object_store.content("ts", "k") == b"one" and refused.generation != stamp.generation
    store.write(b"k", b"two", if_equal=stamp.generation).result()
    assert object_store.content("ts", "k") == b"two"
    assert store.list().result() == [b"k"]


def test_an_unknown_request_is_no_success(object_store):
    connection = http.client.HTTPConnection(object_store.url.removeprefix("http://"))
    connection.request("POST", "/storage/v1/b/bucket/o/a/compose", body=b"{}")
    assert connection.getresponse().status in (404, 405)
