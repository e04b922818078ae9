"""Files of our own: written whole or not at all, read whole or refused in one sentence."""

import errno
import json
import os
import stat
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neucollapse import FileFormatError, FileWriteError
from neucollapse._files import (
    _digest,
    atomic_path,
    fitting_contents,
    load_tensors,
    parse_json,
    read_json,
    require_file,
    save_tensors,
    write_json,
    write_text,
)

SCHEMA = "neucollapse/test/1"
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([True, False]), "c": torch.zeros(0, 3)}
METADATA = {"rate": 0.1, "names": ["x", "y"], "nested": {"deep": [None, 1, "é"]}}


def saved(path, tensors=TENSORS, metadata=METADATA):
    return save_tensors(path, tensors, schema=SCHEMA, metadata=metadata)


# Writing


def test_a_folder_a_pipe_and_a_device_are_never_replaced(tmp_path):
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (folder, pipe, tmp_path / "link", "/dev/null"):
        before = os.stat(path).st_mode
        with pytest.raises(FileWriteError, match="only a regular file is replaced"):
            write_text(path, "x")
        assert os.stat(path).st_mode == before
    assert sorted(os.listdir(tmp_path)) == ["folder", "link", "pipe"]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link, dangling = tmp_path / "elsewhere" / "a", tmp_path / "a", tmp_path / "b"
    target.write_text("old")
    link.symlink_to(target)
    dangling.symlink_to("elsewhere/b")
    write_text(link, "new")
    write_text(dangling, "new")
    assert link.is_symlink()
    assert dangling.is_symlink()
    assert target.read_text() == (tmp_path / "elsewhere" / "b").read_text() == "new"
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(FileWriteError, match="circle"):
        write_text(tmp_path / "circle", "x")


def test_permissions_of_a_replaced_file_are_kept(tmp_path):
    write_text(tmp_path / "a", "x")
    (tmp_path / "a").chmod(0o600)
    write_text(tmp_path / "a", "y")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["file/below", "x" * 300, "a\0b", "x" * 250])
def test_places_where_nothing_can_be_written(tmp_path, name):
    (tmp_path / "file").write_text("x")
    if len(name) == 250:  # allowed, though the temporary name beside it is longer
        write_text(tmp_path / name, "x")
        return
    with pytest.raises(FileWriteError, match="cannot write"):
        write_text(tmp_path / name, "x")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError(), None])
def test_a_write_that_fails_leaves_the_old_file_and_one_sentence(tmp_path, monkeypatch, error):
    def fail(*_arguments, **_options):
        raise error or safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    (tmp_path / "a").write_text("old")
    with pytest.raises(FileWriteError, match=r"cannot write .*a: .*(No space left on device|not enough memory)"):
        saved(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_other_errors_in_the_writing_code_pass_and_leave_nothing(tmp_path):
    with pytest.raises(KeyError), atomic_path(tmp_path / "a"):
        raise KeyError("x")
    assert os.listdir(tmp_path) == []


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path):
    write_text(tmp_path / "a", "name \udc80")
    assert (tmp_path / "a").read_text() == r"name \udc80"


# Reading JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"schema": "neucollapse/test/1", "a": 1, "a": 2}',
        '{"schema": "neucollapse/test/1", "a": {"b": 1, "b": 1}}',
        '{"schema": "neucollapse/test/1", "a": NaN}',
        '{"schema": "neucollapse/test/1", "a": -Infinity}',
        '{"schema": "neucollapse/test/1", "a": 1e999}',
        '{"schema": "neucollapse/test/1", "a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"schema": "neucollapse/test/1", "a": ' + "1" * 5000 + "}",
        '{"schema": "' + "x" * 10_000 + '"}',
        '{"schema": ["neucollapse/test/1"]}',
        "[]",
        "",
        "\xff\xfe",
    ],
)
def test_json_that_is_none_of_ours_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(FileFormatError) as caught:
        read_json(tmp_path / "a.json", schema=SCHEMA)
    assert len(str(caught.value)) < 600


def test_json_comes_back(tmp_path):
    write_json(tmp_path / "a.json", METADATA, schema=SCHEMA)
    assert read_json(tmp_path / "a.json", schema=SCHEMA) == {"schema": SCHEMA, **METADATA}


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "circle", tmp_path / "none", "/dev/zero", "a\0b"):
        with pytest.raises(FileFormatError):
            require_file(path)


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), TypeError("a"), OverflowError("a"), RecursionError("a"), AttributeError("a"), MemoryError()],
)
def test_contents_that_do_not_fit_end_in_one_sentence(error):
    with pytest.raises(FileFormatError, match="do not fit together"), fitting_contents("a"):
        raise error


def test_a_refusal_that_quotes_the_file_stays_short():
    assert len(str(FileFormatError("a", "x" * 10_000))) < 1500


# Tensors


def test_tensors_and_metadata_come_back(tmp_path):
    digest = saved(tmp_path / "a")
    tensors, metadata = load_tensors(tmp_path / "a", schema=SCHEMA, digest=digest)
    assert metadata == METADATA
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert saved(tmp_path / "b") == digest


def rewritten(path, **changes):
    """The file again with another header, as damage or another hand leaves it."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] |= changes
    header["__metadata__"] = {key: value for key, value in header["__metadata__"].items() if value is not None}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": json.dumps(METADATA | {"rate": 0.2})},
        {"metadata": None},
        {"digest": None},
        {"digest": "0" * 64},
        {"more": "x"},
        {"schema": "neucollapse/other/1"},
    ],
)
def test_changed_metadata_are_refused(tmp_path, changes):
    saved(tmp_path / "a")
    rewritten(tmp_path / "a", **changes)
    with pytest.raises(FileFormatError):
        load_tensors(tmp_path / "a", schema=SCHEMA)


def test_a_whole_file_that_belongs_elsewhere_is_refused(tmp_path):
    digest = saved(tmp_path / "a")
    saved(tmp_path / "a", metadata={})
    with pytest.raises(FileFormatError, match="not the file that belongs here"):
        load_tensors(tmp_path / "a", schema=SCHEMA, digest=digest)


def test_files_with_a_digest_of_the_tensors_alone_still_load(tmp_path):
    header = {"schema": SCHEMA, "sha256": _digest(TENSORS), "metadata": json.dumps(METADATA)}
    safetensors.torch.save_file(TENSORS, tmp_path / "a", metadata=header)
    assert load_tensors(tmp_path / "a", schema=SCHEMA)[1] == METADATA
    safetensors.torch.save_file(TENSORS | {"a": torch.ones(2, 3)}, tmp_path / "a", metadata=header)
    with pytest.raises(FileFormatError, match="do not match"):
        load_tensors(tmp_path / "a", schema=SCHEMA)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_is_accepted(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flipped") / "a"
    saved(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    changed = content != path.read_bytes()
    path.write_bytes(content)
    try:
        tensors, metadata = load_tensors(path, schema=SCHEMA)
    except FileFormatError:
        assert changed
    else:  # spaces of the header may differ, what is read may not
        assert metadata == METADATA
        assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"schema":"neucollapse/test/1","schema":"x"}}',
        b"[" * 5000,
        b"[]",
        b'{"__metadata__":[]}',
        b'{"__metadata__":{"schema":1}}',
    ],
)
def test_headers_with_equal_names_or_no_object_are_refused(tmp_path, header):
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FileFormatError):
        load_tensors(tmp_path / "a", schema=SCHEMA)


def test_equal_keys_are_named():
    with pytest.raises(FileFormatError, match="'b' stands in it twice"):
        parse_json("a.json", '{"a": [{"b": 1, "c": 2, "b": 3}]}')


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is Unix's")
@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_a_disk_that_is_full_is_one_sentence_and_leaves_nothing_half_written(limit, tmp_path):
    """A limit on the size of files stands for a full disk: both fail in the middle of a write."""
    program = (
        "import resource, signal, sys\n"
        "from neucollapse._errors import FileWriteError\n"
        "from neucollapse._files import write_json\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "try:\n"
        "    write_json(sys.argv[1], {'text': 'x' * 5000}, schema='a/1')\n"
        "except FileWriteError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "a.json"
    path.write_text("before")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
