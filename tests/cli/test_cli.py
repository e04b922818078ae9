"""The command line as a person runs it: real processes, real files, exit codes, one sentence for what is wrong (P14)."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neucollapse.cli import main
from neucollapse.geometry import polygon, simplex
from neucollapse.metrics import CollapseResult

PROGRAM = str(Path(sys.executable).parent / "neucollapse")


@pytest.fixture
def files(tmp_path):
    """Features near a simplex, and their classifier."""
    W = simplex(5, 6)
    labels = torch.arange(5).repeat(40)
    generator = torch.Generator().manual_seed(0)
    features = (W[labels] + 0.01 * torch.randn(200, 6, generator=generator, dtype=torch.float64)).float()
    save_file({"features": features, "labels": labels}, tmp_path / "features.safetensors")
    save_file({"fc.weight": W.float(), "fc.bias": torch.zeros(5)}, tmp_path / "head.safetensors")
    return tmp_path


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)


def test_help_of_every_subcommand_needs_no_torch():
    code = (("code",), ("code", "table"), ("code", "verify"), ("code", "required-dim"))
    for command in ((), ("demo",), ("train",), ("measure",), ("inspect",), ("report",), ("cite",), *code):
        code = (
            "import sys; from neucollapse.cli import main\n"
            f"try: main([*{command!r}, '--help'])\n"
            "except SystemExit as end: assert not end.code, end.code\n"
            "assert 'torch' not in sys.modules and 'plotly' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "usage: neucollapse" in done.stdout


def test_measure_writes_a_run_and_a_report(files):
    done = run(
        "measure", files / "features.safetensors", "--weight", files / "head.safetensors", "--out", files / "run"
    )
    assert done.returncode == 0, done.stderr
    assert "The features have collapsed" in done.stdout
    result = CollapseResult.load(files / "run")
    assert result["nc4/mismatch"] == 0
    assert result["gnc2/margin_ratio@weight"] == pytest.approx(1, abs=1e-6)
    assert (files / "run" / "report.html").stat().st_size > 1e6
    assert main(["report", str(files / "run"), "--page", str(files / "again.html")]) == 0
    assert (files / "again.html").read_bytes() == (files / "run" / "report.html").read_bytes()


def test_json_goes_to_standard_output_alone(files, capsys):
    assert main(["measure", str(files / "features.safetensors"), "--json", "--preset", "papyan2020"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert 0 < content["numbers"]["nc1/pinv"] < 1e-2
    assert "pass weight=" in content["absent"]["nc3/frobenius_uncentred_weight"]


def test_a_finding_is_exit_code_one(files, capsys):
    path = str(files / "features.safetensors")
    assert main(["measure", path, "--fail-if", "nc1/pinv>1e-9", "nc2/etf_distance>1"]) == 1
    assert capsys.readouterr().err == "finding: nc1/pinv>1e-9\n"
    assert main(["measure", path, "--fail-if", "nc1/pinv>1"]) == 0
    capsys.readouterr()
    assert main(["measure", "--fail-if", "nc1/pinv>1", "nc2/etf_distance>1", path]) == 0  # the file is no condition
    assert capsys.readouterr().err == ""


def test_a_condition_on_an_absent_number_does_not_pass(files, capsys):
    assert main(["measure", str(files / "features.safetensors"), "--fail-if", "nc3/cosine>1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("finding: nc3/cosine>1 cannot be decided, as nc3/cosine is absent: ")


def test_splits_of_a_condition_are_checked_before_the_work(files, capsys):
    for split in ("train", "test"):
        content = {"features": torch.randn(20, 3), "labels": torch.arange(20) % 4}
        (files / "both").mkdir(exist_ok=True)
        save_file(content, files / "both" / f"{split}.safetensors")
    path = str(files / "both")
    assert main(["measure", path, "--fail-if", "tset/nc1/pinv>1"]) == 2
    assert "did you mean 'test'?" in capsys.readouterr().err
    assert main(["measure", path, "--fail-if", "nc1/pinv>1"]) == 2
    assert "names no split; expected train/nc1/pinv>1 or test/nc1/pinv>1" in capsys.readouterr().err
    assert main(["measure", path, "--fail-if", "test/nc1/pinv<0"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["measure", "{}/features.safetensors", "--fail-if", "nc1/pinv"], "condition such as"),
        (["measure", "{}/features.safetensors", "--fail-if", "nc9/none>1"], "neucollapse has no metric 'nc9/none'"),
        (["measure", "{}/features.safetensors", "--fail-if", "nc1/pinv>nan"], "condition such as"),
        (["measure", "{}/features.safetensors", "--fail-if", ">1"], "condition such as"),
        (["measure", "{}/features.safetensors", "--fail-if", "train/nc1/pinv>1"], "the data have no splits"),
        (["measure", "{}/features.safetensors", "--fail-if", "nc1/pinv@layer:x>1"], "--layers has no layer 'x'"),
        (["measure", "{}/features.safetensors", "--preset", "xu2023", "--fail-if", "nc1/pinv>1"], "xu2023 does not"),
        (["measure", "{}/features.safetensors", "--layers", "0"], "--layers needs a --model"),
        (["measure", "{}/features.safetensors", "--preset", "nobody1999"], "papyan2020"),
        (["measure"], "expected a file of features"),
        (["measure", "--nonsense"], "neucollapse measure has no option --nonsense"),
        (["train", "--epochs", "0"], "expected epochs of at least 1"),
        (["measure", "--model", "nowhere:make"], "No module named 'nowhere'"),
        (["measure", "--model", "nowhere"], "module:function"),
        (["train", "no-such-preset"], "digits-sphere"),
        (["cite", "papyan2021"], "did you mean 'papyan2020'"),
    ],
)
def test_wrong_usage_is_exit_code_two_and_one_sentence(arguments, sentence, files, capsys):
    assert main([part.format(files) for part in arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def write_bad_files(folder):
    good = (folder / "features.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(good[: len(good) // 2])
    (folder / "empty.npz").write_bytes(b"")
    np.savez(folder / "objects.npz", features=np.array([{}], dtype=object), labels=np.zeros(1, int))
    np.savez(folder / "mismatch.npz", features=np.zeros((3, 2), np.float32), labels=np.zeros(4, int))
    np.savez(folder / "floats.npz", features=np.zeros((3, 2), np.float32), labels=np.zeros(3))
    (folder / "text.txt").write_text("hello")


@pytest.mark.parametrize(
    "name", ["cut.safetensors", "empty.npz", "objects.npz", "mismatch.npz", "floats.npz", "text.txt", "no"]
)
def test_an_unusable_file_is_exit_code_three_and_one_sentence(name, files, capsys):
    write_bad_files(files)
    assert main(["measure", str(files / name)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("neucollapse: cannot use ")
    assert name in error
    assert error.count("\n") == 1


def test_nan_in_features_is_a_sentence_and_can_be_dropped(files, capsys):
    features = torch.randn(20, 3)
    features[7, 1] = torch.nan
    save_file({"features": features, "labels": torch.arange(20) % 4}, files / "nan.safetensors")
    assert main(["measure", str(files / "nan.safetensors")]) == 3
    assert "NaN or infinity in 1 of 20 rows; the first is row 7" in capsys.readouterr().err
    assert main(["measure", str(files / "nan.safetensors"), "--drop-nan"]) == 0
    assert "were left out" in " ".join(capsys.readouterr().out.split())


def test_inspect_reads_weights_alone(files, capsys):
    save_file({"head.weight": polygon(8).float()}, files / "octagon.safetensors")
    assert main(["inspect", str(files / "octagon.safetensors"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["name"] == "head.weight"
    assert content["numbers"]["gnc2/margin_ratio@weight"] == pytest.approx(1, abs=1e-6)


def test_a_model_from_a_module(files):
    (files / "mine.py").write_text(
        "import torch\n"
        "def make():\n"
        "    torch.manual_seed(0)\n"
        "    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()\n"
        "    data = torch.utils.data.TensorDataset(torch.randn(60, 4), torch.arange(60) % 3)\n"
        "    return model, {'train': torch.utils.data.DataLoader(data, 20)}\n"
    )
    done = run("measure", "--model", "mine:make", "--layers", "0", "--json", cwd=files)
    assert done.returncode == 0, done.stderr
    assert "train/nc1/pinv@layer:0" in json.loads(done.stdout)["numbers"]
    dry = run("inspect", "mine:make", cwd=files)
    assert dry.returncode == 0, dry.stderr
    assert "K" in dry.stdout


@pytest.mark.slow
def test_train_with_a_head_and_a_loss(tmp_path):
    options = [
        *("--head", "cosine", "scale-start=4"),
        *("--loss", "arc-face", "margin-warmup=0.5"),
        *("--backbone", "mlp", "width=32"),
    ]
    done = run("train", *options, "--stop-when", "train/accuracy/linear>0.2", "--measure-every", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cosine head, arc-face loss, K = 10, d = 32" in done.stdout
    assert "epochs: train/accuracy/linear>0.2" in done.stdout
    wrong = run("train", "--loss", "arc-face", "--out", tmp_path / "other")
    assert wrong.returncode == 2
    assert "arc-face expected the head cosine" in wrong.stderr
    assert not (tmp_path / "other").exists()


def test_train_reports_and_is_read_again(tmp_path, capsys):
    arguments = [
        "train",
        "digits-sphere",
        "--epochs",
        "2",
        "--measure-every",
        "1",
        "--optimum",
        "lookup",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(["train", str(tmp_path / "run" / "config.json"), "--epochs", "3", "--out", str(tmp_path / "run")]) == 2
    assert "holds a training run with epochs=2" in capsys.readouterr().err
    assert main(["cite", str(tmp_path / "run")]) == 0
    assert "jiang2023" in capsys.readouterr().out
