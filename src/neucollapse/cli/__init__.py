"""The command line, one file a subcommand. Nothing heavy is imported until a subcommand runs, so ``--help`` is quick.

Numbers go to standard output, progress and warnings to standard error. Exit codes: 0 fine, 1 a finding
(``--fail-if``), 2 wrong usage or a file that cannot be written, 3 an input file that cannot be used, 4 an error that
nobody foresaw, 130 interrupted.
"""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ..theory.settings import SETTINGS
from ._failures import FINE, explain, trace
from ._streams import lenient_output
from ._usage import Commands, in_sentences
from .cite import Cite
from .code import Code
from .code_required_dim import CodeRequiredDim
from .code_table import CodeTable
from .code_verify import CodeVerify
from .demo import Demo
from .inspect import Inspect
from .measure import Measure
from .report import Report
from .simulate import ListModels, simulation
from .train import Train

COMMANDS: Commands = {
    "demo": Demo,
    "train": Train,
    "measure": Measure,
    "inspect": Inspect,
    "report": Report,
    "code": {"solve": Code, "table": CodeTable, "verify": CodeVerify, "required-dim": CodeRequiredDim},
    "simulate": {"list": ListModels, **{model: simulation(model) for model in SETTINGS}},
    "cite": Cite,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (of ``--help``, as ``SystemExit``).

    Whatever ends a command early is one sentence on standard error, and the code that ``_failures`` gives it.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _show_warning
    with lenient_output():
        try:
            code = _run(given)
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            sentence, code = explain(error)
            sys.stderr.write(f"{trace(error)}neucollapse: {sentence}\n")
        return code


def _run(given: list[str]) -> int:
    if given == ["--version"]:
        from .. import __version__

        sys.stdout.write(f"neucollapse {__version__}\n")
        return FINE
    if given in ([], ["--help"], ["-h"]):
        return _list_commands()
    import tyro

    with in_sentences(given, COMMANDS):
        command = _app(COMMANDS).cli(prog="neucollapse", args=given, config=(tyro.conf.OmitArgPrefixes,))
    return command.run()


def _app(commands: Mapping[str, Any]) -> Any:
    """The commands as tyro takes them; the first of several that may follow a word is meant by the word alone."""
    from tyro.conf import FlagCreatePairsOff
    from tyro.extras import SubcommandApp

    app = SubcommandApp()
    for place, (name, kind) in enumerate(commands.items()):
        if isinstance(kind, Mapping):
            app.command(_app(kind), name=name, help=_first_line(kind))
        else:
            # Settings whose default a file may change can be switched on and off.
            single = kind if "settings" in kind.__annotations__ else FlagCreatePairsOff[kind]
            app.command(single, name=name, is_default=place == 0 and commands is not COMMANDS)
    return app


def _list_commands() -> int:
    """What a bare ``neucollapse`` prints: a line a subcommand."""
    lines = list(COMMANDS.items())
    lines += [(f"code {name}", kind) for name, kind in COMMANDS["code"].items() if name != "solve"]
    width = max(len(name) for name, _ in lines)
    sys.stdout.write(
        "usage: neucollapse COMMAND [options]\n\nGeneralized neural collapse: measure it, know its optimum, train towards it.\n\n"
        + "".join(f"  {name:{width}}  {_first_line(kind)}\n" for name, kind in lines)
        + "\n`neucollapse COMMAND --help` explains one; `neucollapse demo` shows the main job in about a minute.\n"
        "--version prints the version; --tyro-print-completion bash (or zsh, fish) prints completions for a shell.\n"
    )
    return FINE


def _first_line(kind: Any) -> str:
    first = next(iter(kind.values())) if isinstance(kind, Mapping) else kind
    return (first.__doc__ or "").strip().splitlines()[0]


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    from .._errors import NeucollapseWarning

    if issubclass(category, NeucollapseWarning):
        sys.stderr.write(f"warning: {message}\n")
