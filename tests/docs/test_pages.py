"""Pages say what the code does: keys, presets, public names, flags, commands and links that they mention exist."""

import importlib
import re
import types
from pathlib import Path

import pytest

import neucollapse
from neucollapse.metrics import PRESETS, REGISTRY

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FAMILIES = sorted({name.split("/")[0] for name in REGISTRY})
KEY = re.compile(rf"(?<![\w/.])(?:(?:train|test)/)?((?:{'|'.join(FAMILIES)})/[a-z]\w*(?:@weight)?)\b(?!\.\w)")
ROOMS = ("data", "geometry", "metrics", "probe", "statistics", "theory", "training")


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_metric_keys_exist(page: Path) -> None:
    mentioned = set(KEY.findall(page.read_text(encoding="utf-8")))
    unknown = {key for key in mentioned if key not in REGISTRY} - {"nc3/product_uncentred"}
    assert not unknown, f"{page_id(page)} names metrics that the registry does not have"


def test_keys_are_found_at_all() -> None:
    text = '`test/nc1/pinv`, "gnc2/margin@weight" and nc9/none; docs/metrics/nc1.md; `nc2/gone`'
    assert set(KEY.findall(text)) == {"nc1/pinv", "gnc2/margin@weight", "nc2/gone"}


def test_every_default_form_has_its_place_among_the_disagreements() -> None:
    text = (ROOT / "docs/disagreements.md").read_text(encoding="utf-8")
    for family in ("nc1", "nc2", "nc3", "nc4", "gnc1", "gnc3", "bias"):
        missing = {
            name
            for name in REGISTRY
            if name.startswith(f"{family}/") and not name.endswith(("@weight", "floor")) and name not in text
        }
        assert not missing, f"docs/disagreements.md says nothing of {sorted(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_presets_exist(page: Path) -> None:
    named = re.findall(r'preset[= ]"?([a-z]+\d{4})', page.read_text(encoding="utf-8"))
    assert set(named) <= set(PRESETS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_a_reference_entry(room: str) -> None:
    module = importlib.import_module(f"neucollapse.{room}")
    public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    names = [name for name in public if not isinstance(getattr(module, name), types.ModuleType)]
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/api").glob("*.md"))
    missing = [name for name in names if not re.search(rf"(^::: neucollapse\.[\w.]*\b|`){name}\b", text, re.MULTILINE)]
    assert not missing, f"docs/api says nothing of {missing} of neucollapse.{room}"


def test_every_flag_is_explained() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    raised = set(re.findall(r'\bFlag\(\s*"(\w+)"', sources))
    explained = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/report.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert raised == explained
    assert "beyond_simplex" in raised


def _field(option: str) -> str:
    """The name of the setting behind an option; ``--no-bias`` is of ``bias``."""
    return option.removeprefix("--").removeprefix("no-").replace("-", "_")


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_and_their_options_exist(page: Path) -> None:
    from neucollapse.cli import COMMANDS
    from neucollapse.cli._usage import called, settings_of

    for line in re.findall(r"^\s*neucollapse (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split("  ")[0].replace("MODEL", "ufm").split()
        _, command = called(words, COMMANDS)
        assert command is not COMMANDS, f"{page_id(page)}: neucollapse {line}"
        kind = next(iter(command.values())) if isinstance(command, dict) else command
        options = {word.strip("[]") for word in words if word.strip("[").startswith("--")}
        unknown = {option for option in options if _field(option) not in settings_of(kind)}
        assert not unknown, f"{page_id(page)}: neucollapse {line}"


def test_links_of_the_files_outside_the_site_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        targets = re.findall(r"\]\(((?!https?:|#)[^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
        missing = [target for target in targets if not (ROOT / target).exists()]
        assert not missing, f"{name} links to {missing}"


def test_versions_agree() -> None:
    version = neucollapse.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
