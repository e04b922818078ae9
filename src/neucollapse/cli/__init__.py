"""The command line, one file a subcommand. Nothing heavy is imported until a subcommand runs, so ``--help`` is quick.

Numbers go to standard output, progress and warnings to standard error. Exit codes: 0 fine, 1 a finding
(``--fail-if``), 2 wrong usage, 3 an input file that cannot be used, 130 interrupted.
"""

import io
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Annotated, Any

from .._errors import FileFormatError, NeucollapseError
from ..theory.settings import SETTINGS
from .cite import Cite
from .code import Code
from .code_required_dim import CodeRequiredDim
from .code_table import CodeTable
from .code_verify import CodeVerify
from .demo import Demo
from .inspect import Inspect
from .measure import Measure
from .report import Report
from .simulate import subcommand as simulation
from .train import Train, take_config

_DESCRIPTION = "Generalized neural collapse: measure it, know its optimum, train towards it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (2 for wrong usage, as ``SystemExit``)."""
    import tyro

    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _show_warning
    try:
        given, config = take_config(given)
        with _plain_errors():
            command = tyro.cli(
                _commands(Train(config=config), given),
                prog="neucollapse",
                description=_DESCRIPTION,
                args=_joined(given),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
        return command.run()
    except FileFormatError as error:
        return _complain(error, 3)
    except NeucollapseError as error:
        return _complain(error, 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _commands(train: Train, given: list[str]) -> Any:
    import tyro

    def named(command: type, name: str, **options: Any) -> Any:
        return Annotated[command, tyro.conf.subcommand(name, prefix_name=False, **options)]

    return (
        named(Demo, "demo")
        | named(Train, "train", default=train)
        | named(Measure, "measure")
        | named(Inspect, "inspect")
        | named(Report, "report")
        | named(Code, "code")
        | named(CodeTable, "code table")
        | named(CodeVerify, "code verify")
        | named(CodeRequiredDim, "code required-dim")
        | simulation(given)
        | named(Cite, "cite")
    )


def _joined(given: list[str]) -> list[str]:
    """Two words that name one subcommand, such as ``code table`` or ``simulate ufm``, as one."""
    second = next(iter(given[1:2]), "")
    if (given[:1] == ["code"] and second in ("table", "verify", "required-dim")) or (
        given[:1] == ["simulate"] and second in SETTINGS
    ):
        return [" ".join(given[:2]), *given[2:]]
    return given


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Show a sentence of ours as it is, without the name that tyro has for what it was building."""
    caught = io.StringIO()
    try:
        with redirect_stderr(caught):
            yield
    except SystemExit:
        words = " ".join(caught.getvalue().replace("│", " ").split())
        ours = re.search(r"Error parsing __tyro[\w-]*\.\w+: (.*?) ─", words)
        sys.stderr.write(f"neucollapse: {ours[1]}\n" if ours else caught.getvalue())
        raise


def _complain(message: object, code: int) -> int:
    sys.stderr.write(f"neucollapse: {message}\n")
    return code


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    from .._errors import NeucollapseWarning

    if issubclass(category, NeucollapseWarning):
        sys.stderr.write(f"warning: {message}\n")
