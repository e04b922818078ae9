"""The history file and the terminal phase in it."""

import pyarrow.parquet

from neucollapse.training._history import with_terminal_phase, write_history

ROWS = [(0, "train/nc1/pinv", 9.0), (1, "train/accuracy", 0.5), (2, "train/accuracy", 1.0), (3, "train/accuracy", 0.99)]


def terminal(rows):
    return {epoch: value for epoch, key, value in rows if key == "train/terminal_phase"}


def test_terminal_phase_begins_with_the_zero_error_epoch():
    rows = with_terminal_phase(ROWS, zero_error_epoch=2)
    assert rows[:4] == ROWS
    assert terminal(rows) == {0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0}
    assert terminal(with_terminal_phase(ROWS, None)) == dict.fromkeys(range(4), 0.0)


def test_file(tmp_path):
    write_history(tmp_path / "history.parquet", ROWS)
    table = pyarrow.parquet.read_table(tmp_path / "history.parquet")
    assert list(zip(*(table[name].to_pylist() for name in ("epoch", "key", "value")), strict=True)) == ROWS
    assert [str(field.type) for field in table.schema] == ["int32", "string", "double"]
