"""What the documents tell people to type exists: commands, options, values, targets, files."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from rocmoe.cli.app import app
from rocmoe.ops.core.backend import load_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import parse_device
from rocmoe.ops.core.simulator import CHECKS
from rocmoe.ops.core.spec import load_op
from rocmoe.profiles.artifact import Artifact, Result, Status, read_artifact
from rocmoe.profiles.budget import load_budget
from rocmoe.profiles.model import load_model
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.suites import check_suite

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
VARIABLES = set(re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.M))
#: What .ci/rocm reads of the environment, as `make rocm-ci` hands it on.
CI_VARIABLES = set(re.findall(r"^([A-Z]+)=\$\{\1:-", (ROOT / ".ci/rocm").read_text(), re.M))
FOLDERS = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
#: Programs of others.
OTHERS = {"cp", "docker", "echo", "mkdir", "pip", "python3", "rocprofv3", "sed", "source", "[",
          "ROCM_PATH", "code"}  # fmt: skip
#: Their options, and options of this program's own parts, as named in the text.
OTHER_OPTIONS = {
    "--cache-control", "--clock-control", "--device", "--find-links", "--force-reinstall",
    "--group-add", "--ipc", "--no-deps", "--no-index", "--output-file", "--python-version",
    "--security-opt", "--stats", "--system-site-packages",
    "--upgrade", "--user",
}  # fmt: skip


def list_blocks(path, *kinds):
    """The blocks of a document of these kinds; of a console what is typed."""
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", path.read_text(), re.DOTALL):
        if kind in kinds:
            typed = re.findall(r"^\$ (.*)$", block, re.M)
            yield "\n".join(typed) if kind == "console" else block


def list_commands(script):
    """The words of each simple command, without comments, redirections and assignments."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        command = []
        words = [*lexer, ";"]
        for before, word in zip(["", *words], words, strict=False):
            if re.fullmatch(r"[;|&]+", word) or word in ("{", "}"):
                if command:
                    yield command
                command = []
            elif not ({*word} <= {*"<>"} or {*before} & {*"<>"}) and (
                command or not re.match(r"[A-Z_]+=", word)
            ):
                command.append(word)


def check_command(words, made=()):
    """Raise for a command that does not exist, or what it names.  made: files made before it."""
    program, *arguments = words
    if program == "rocmoe":
        check_rocmoe(arguments)
    elif program == "make":
        check_make(arguments)
    elif program.startswith("."):
        assert (ROOT / program).is_file(), f"no program {program}"
    else:
        assert program.partition("=")[0] in OTHERS, f"unknown program {program}"
        if program == "docker" and "make" in arguments:
            check_make(arguments[arguments.index("make") + 1 :])
    for word in arguments:
        name = word.partition(":")[2] if word.startswith("assembly:") else word.partition(":")[0]
        if name.startswith(FOLDERS) and name not in made and not name.startswith("rocm-ci/"):
            ignored = name.startswith((".ci/baseline", "wheelhouse/", ".venv/"))
            assert ignored or (ROOT / name).exists(), f"no file {name}"


def check_script(script, made=()):
    """An `AssertionError` for the first command that does not exist, whatever is wrong with it."""
    for words in list_commands(script):
        try:
            check_command(words, made)
        except Exception as error:
            raise AssertionError(f"{' '.join(words)}: {error}") from error


def check_make(arguments):
    for word in arguments:
        name, given, _ = word.partition("=")
        if given:
            assert name in VARIABLES | CI_VARIABLES, f"no variable {name} of make"
        else:
            assert name in TARGETS, f"no target {name}"


def check_rocmoe(arguments):
    """Parse it as the program would, and look its values up; nothing is run."""
    command, rest = COMMANDS, list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    given = command.make_context(command.name, rest).params
    for op in [*(given.get("ops") or ()), *as_list(given.get("op"))]:
        load_op(op)
    target = given.get("target")
    if isinstance(target, str) and "." not in target:
        load_op(target)
    for text in as_list(given.get("case")):
        if text == "ID":
            continue
        case = parse_case(text)
        load_op(case.op).check_case(case)
    for name in as_list(given.get("backend")):
        load_backend(name.removeprefix("!").partition(":")[0])
    for name in as_list(given.get("model")):
        if not name.endswith(("/", ".toml", ".json")):
            load_model(name)
    if given.get("device"):
        parse_device(given["device"])
    if given.get("suite"):
        check_suite(given["suite"])


def as_list(value):
    return [value] if isinstance(value, str) else value or []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_what_is_to_be_typed_exists(path):
    for script in list_blocks(path, "sh", "console"):
        check_script(script, made=set(re.findall(r"> (\S+)", path.read_text())))


def test_there_is_something_to_check():
    scripts = [script for path in DOCUMENTS for script in list_blocks(path, "sh", "console")]
    assert sum(len([*list_commands(script)]) for script in scripts) > 80


@pytest.mark.parametrize(
    "line",
    [
        "rocmoe valdate topk_softmax",
        "rocmoe validate topk_softmx",
        "rocmoe validate --suit smoke",
        "rocmoe validate --suite smok",
        "rocmoe validate --device sim:gfx9",
        "rocmoe bench --model deepseek-v99",
        "rocmoe bench topk_softmax --backend '!aitre'",
        "rocmoe validate --case topk_softmax:T=64:bf16",
        "rocmoe diff base.json",
        "rocmoe bundle make run.json",
        "rocmoe sanitize docs/examples/none.toml",
        "FOO=1 rocmoe docter | head",
        "make chek",
        "make wheelhouse PYTHN=3.12",
        "docker run --rm rocmoe make rocm",
        ".ci/rum",
        "frobnicate --all",
    ],
)
def test_what_does_not_exist_is_seen(line):
    with pytest.raises(AssertionError):
        check_script(line)


def list_spans(path):
    """The inline code of a document, without its blocks."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def list_options(command=COMMANDS):
    if hasattr(command, "commands"):
        return {each for child in command.commands.values() for each in list_options(child)}
    return {name for each in command.params for name in [*each.opts, *each.secondary_opts]}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_commands_and_options_in_the_text_exist(path):
    known = list_options()
    for span in list_spans(path):
        program, *words = span.split()
        if program == "make" and words:
            assert words[0] in TARGETS, span
        if program == "rocmoe" and words and words[0].isalpha():
            command = COMMANDS.commands.get(words[0])
            assert command, span
            options = re.findall(r"(--[a-z-]+)", span)
            assert set(options) <= list_options(command) | {"--help"}, span
        if program.startswith("--"):
            name = re.match(r"--[a-z-]*", program)[0]
            assert name in known | OTHER_OPTIONS | {"--help"}, span


def list_anchors(path):
    """The anchors of headings, by the rule of GitHub."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    text = re.sub(r"(`+)[^`].*?\1", "", path.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), link
        assert not anchor or anchor in list_anchors(file), link


def read_rows(document, title):
    """The first cells of the table behind a title."""
    text = (ROOT / "docs" / document).read_text().partition(title)[2]
    table = re.search(r"(^\|.*\n)+", text, re.M)[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_every_status_and_exit_code_is_explained():
    assert read_rows("verdicts.md", "## Status") == [f"`{name}`" for name in get_args(Status)]
    assert read_rows("verdicts.md", "## Exit codes") == [str(int(code)) for code in Exit]


def test_every_check_is_explained():
    text = (ROOT / "docs/verdicts.md").read_text().partition("## Checks")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`([a-z_]+)`", text)) - {"ok"}
    artifacts = ("quick-cpu.json", "full-strict-h100.json", "quick-strict-h200.json")
    found = {
        check.name
        for name in artifacts
        for result in read_artifact(ROOT / "docs/artifacts" / name).results
        for check in result.checks
    }
    assert found <= explained
    # The rest is of sanitizers that did not run there, and of what is timed.
    sources = [path.read_text() for path in (ROOT / "profiles").rglob("*.py")]
    for name in explained - found - set(CHECKS):
        assert any(f'"{name}"' in source for source in sources), name


def test_every_field_of_an_artifact_is_explained():
    document = "artifact.md"
    fields = [*Artifact.__struct_fields__]
    assert sorted(read_rows(document, "generated from")) == sorted(f"`{name}`" for name in fields)
    told = " ".join(read_rows(document, "Of a result:"))
    assert set(re.findall(r"`(\w+)`", told)) == set(Result.__struct_fields__)


def test_the_files_shown_are_what_they_are_said_to_be(tmp_path):
    (shown,) = list_blocks(ROOT / "docs/ci.md", "toml")
    (tmp_path / "budget.toml").write_text(shown)
    assert load_budget(tmp_path / "budget.toml")
    (code,) = list_blocks(ROOT / "docs/artifact.md", "python")
    shutil.copy(ROOT / "docs/artifacts/quick-cpu.json", tmp_path / "run.json")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def mask(text):
    """What another machine may print differently: how long it took, and how much was tried."""
    text = re.sub(r"\d+ case\(s\) tried in \d+ s", "# tried", text)
    return re.sub(r"-{3,}", "---", " ".join(text.split()))


def test_the_first_steps_print_what_is_shown(rocmoe, tmp_path):
    page = ROOT / "docs/first-steps.md"
    wrong, _ = list_blocks(page, "python")
    (tmp_path / "mine.py").write_text(wrong)
    text = page.read_text()
    shown = re.findall(r"```sh\n(rocmoe [^`]*?)\n```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert [command.split()[1] for command, _ in shown] == ["validate", "shrink"]
    for command, said in shown:
        done = rocmoe(*shlex.split(command)[1:])
        assert mask(done.stdout) == mask(said), done.stderr
        assert done.returncode == ("exit 1" in said)
    failure = re.search(r"^FAIL .*?\(call 1\)", shown[0][1], re.M | re.DOTALL)[0]
    assert failure in (ROOT / "docs/verdicts.md").read_text()
