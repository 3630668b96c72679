"""Rules of the project that no other tool checks: sizes, links, leftovers, and what importing costs."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("perception", "tools") for path in (ROOT / folder).rglob("*.py"))
TEXTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "engines/README.md")
MAX_LINES = 300
MAX_MODULES = 10

LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
# words in code quotes that name something of this project by its path; NAME stands for a name to choose
NAMED_PATH = re.compile(
    r"`((?:perception|tests|tools|engines|calib|\.ci)/[\w./-]*|[\w-]+\.(?:toml|txt))`"
)
TREE_LINE = re.compile(r"^((?:perception|tests|tools|engines|calib)[\w./]*)  +\S", re.MULTILINE)
TO_BE_MADE = {  # by the reader of CONTRIBUTING.md and of the README
    "data.toml",
    "perception/models/tasks/sky_share.py", "perception/training/losses/road_dice.py",
}  # fmt: skip


def _name(path):
    return path.relative_to(ROOT).as_posix()


def _text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_no_file_of_code_is_longer_than_300_lines():
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in CODE}
    assert {name: n for name, n in lines.items() if n > MAX_LINES} == {}


def test_no_folder_of_code_holds_more_than_ten_modules():
    modules = Counter(_name(path.parent) for path in CODE if path.name != "__init__.py")
    assert {folder: n for folder, n in modules.items() if n > MAX_MODULES} == {}


def test_no_note_to_self_is_left_in_the_code():
    note = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XXX)\b")
    assert [_name(path) for path in CODE if note.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_leads_somewhere(name):
    links = [link for link in LINK.findall(_text(name)) if "://" not in link]
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_path_that_a_text_names_exists(name):
    named = {path for path in NAMED_PATH.findall(_text(name)) if "NAME" not in path} - TO_BE_MADE
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_file_tree_of_the_readme_is_that_of_the_project():
    tree = TREE_LINE.findall(_text("README.md"))
    folders = {_name(path.parent) for path in CODE if path.parent.parent == ROOT / "perception"}
    assert folders <= set(tree)
    assert [path for path in tree if not (ROOT / path).exists()] == []


def test_importing_perception_imports_nothing_heavy():
    code = (
        "import json, sys, perception; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {
        "av",
        "cv2",
        "matplotlib",
        "numpy",
        "onnxruntime",
        "pydantic",
        "rich",
        "torch",
        "typer",
    }
    assert heavy & set(json.loads(done.stdout)) == set()


def _help(*command):
    done = subprocess.run(
        [sys.executable, "-m", "perception", *command, "--help"],
        check=True, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    return done.stdout


def test_every_command_and_option_that_the_texts_name_exists():
    used = {}
    for text in map(_text, ("README.md", "CONTRIBUTING.md", "engines/README.md", "Makefile")):
        for command, rest in re.findall(
            r"(?:`|/|^ *)perception ((?:(?:bench|render) |calibrate (?=(?:convert|mounting|print)\b))?[a-z]+)([^`\n#]*)",
            text,
            re.MULTILINE,
        ):
            used.setdefault(command, set()).update(re.findall(r"--[a-z][a-z-]*", rest))
    assert {"run", "train", "evaluate", "export", "verify", "bench mask", "doctor"} <= set(used)
    listed = {"": _help()} | {f"{g} ": _help(g) for g in ("bench", "calibrate", "render")}
    for command in used:
        group, word = re.fullmatch(r"(bench |calibrate |render |)(\w+)", command).groups()
        assert re.search(rf"\b{word}\b", listed[group]), command
    for command, options in used.items():
        known = _help(*command.split()) if options - {"--help"} else "--help"
        assert [o for o in options if not re.search(rf"{o}(?![\w-])", known)] == [], command


def test_the_pinned_versions_leave_free_what_is_pinned_or_tested_elsewhere():
    lines = [line for line in _text("constraints.txt").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line)] == []
    names = {line.partition("==")[0] for line in lines}
    assert (
        names & {"numpy", "opencv-python", "perception", "torch", "torchvision", "triton"} == set()
    )
    assert {"onnxruntime", "pytest", "torchmetrics"} <= names


def test_every_file_that_the_licence_names_is_there():
    assert "Apache License" in _text("LICENSE")
    for name in ("README.md", "engines/README.md"):
        assert "non-commercial" in _text(name)
