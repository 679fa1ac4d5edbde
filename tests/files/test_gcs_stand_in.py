"""Holds the stand-in for Google Cloud Storage against Google's own client and TensorStore.

Tests of what fake-gcs-server also implements run on both.
"""

import http.client

import pytest

storage = pytest.importorskip("google.cloud.storage", reason="needs google-cloud-storage: pip")
exceptions = pytest.importorskip("google.api_core.exceptions")


BOTH = pytest.mark.parametrize(
    "store", ["object_store", pytest.param("gcs_emulator", marks=pytest.mark.peer)], indirect=True
)


@pytest.fixture
def store(request):
    return request.getfixturevalue(getattr(request, "param", "object_store"))


@pytest.fixture
def bucket(store):
    client = storage.Client.create_anonymous_client()  # finds STORAGE_EMULATOR_HOST
    client.project = "test"
    return client.bucket(store.bucket)


@BOTH
def test_generations_and_preconditions(bucket):
    blob = bucket.blob("google/a b?#é.txt")
    blob.upload_from_string("one", if_generation_match=0)
    first = blob.generation
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("two", if_generation_match=0)
    blob.upload_from_string("two", if_generation_match=first)
    assert blob.generation > first and blob.download_as_bytes() == b"two"
    with pytest.raises(exceptions.NotFound):
        bucket.blob("google/a b?#é.txt", generation=first).download_as_bytes()
    blob.delete(if_generation_match=blob.generation)
    assert not blob.exists()


def test_a_delete_has_preconditions(bucket):
    blob = bucket.blob("google/deleted")
    blob.upload_from_string("one")
    first = blob.generation
    blob.upload_from_string("two")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    assert blob.download_as_bytes() == b"two"


@BOTH
def test_resumable_uploads_appear_when_complete(bucket, store):
    content = bytes(range(256)) * 4096
    blob = bucket.blob("google/large", chunk_size=256 * 1024)
    with blob.open("wb") as file:
        file.write(content[: 700 * 1024])
        assert not blob.exists()
        file.write(content[700 * 1024 :])
    blob.reload()
    assert blob.size == len(content) and blob.download_as_bytes() == content
    assert blob.download_as_bytes(start=1000, end=1300) == content[1000:1301]
    assert store.content("google", "large") == content


@BOTH
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
    store = tensorstore.KvStore.open(
        {"driver": "gcs", "bucket": object_store.bucket, "path": "ts/"}
    ).result()
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
