"""docs/configuration.md, the program and the manifests name the same environment variables."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.check_manifests import build

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ROOT / "cancerprediction" / "settings.py"
PAGE = (ROOT / "docs" / "configuration.md").read_text()
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.splitlines()
    if line.startswith("| `") and len(cells := [c.strip() for c in line.strip("|").split("|")]) == 5
}


def constant(node: ast.AST | None):
    return node.value if isinstance(node, ast.Constant) else None


def read_by_settings() -> dict[str, ast.expr | None]:
    """Every name in env.something("NAME", default=...), with its default."""
    found = {}
    for call in ast.walk(ast.parse(SETTINGS.read_text())):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name("env")), args=[ast.Constant(name), *_]):
                defaults = [k.value for k in call.keywords if k.arg == "default"]
                found.setdefault(name, defaults[0] if defaults else None)
    return found


def read_elsewhere() -> set[str]:
    """Names that gunicorn's file, the program and the entry point read by themselves."""
    python = [ROOT / "gunicorn.conf.py", *(ROOT / "apps").rglob("*.py")]
    code = "\n".join(path.read_text() for path in python if "tests" not in path.parts)
    shell = (ROOT / "scripts" / "entrypoint.sh").read_text()
    return set(re.findall(r"os\.environ(?:\.get\(|\[)\s*['\"]([A-Z_]+)", code)) | set(
        re.findall(r"\$\{([A-Z_]+)[:}]", shell)
    )


SYSTEM_NAMES = {"TMPDIR", "HOSTNAME", "BASH_SOURCE"}


def test_every_variable_that_is_read_is_documented_and_nothing_else():
    names = set(read_by_settings()) | read_elsewhere() - SYSTEM_NAMES
    assert len(names) > 30
    assert sorted(ROWS) == sorted(names)


@pytest.mark.parametrize("name", sorted(read_by_settings()))
def test_the_documented_default_is_the_true_one(name):
    default = read_by_settings()[name]
    documented = ROWS[name][2].strip("`")
    match default:
        case ast.Constant(bool(value)):
            assert documented == str(int(value))
        case ast.Constant(value):
            assert documented == (str(value) or "empty") or (value == "" and name == "DATABASE_URL")
        case ast.List(elts=[]):
            assert documented == "empty"
        case ast.List(elts=values):
            assert documented == ",".join(value.value for value in values)
        case ast.BinOp(left=ast.Constant(left), op=ast.Mult(), right=ast.Constant(right)):
            assert documented == str(left * right)
        case ast.IfExp(body=ast.Constant(in_a_demo), orelse=ast.Constant(elsewhere)):
            assert in_a_demo in documented
            assert elsewhere in documented
        case ast.Name(other):
            assert documented == other
        case None:
            assert documented == "none: required"
        case _:  # computed from another variable, which the words then name
            assert re.search(r"DEMO|VAR_DIR|beside the program", documented)


@pytest.mark.parametrize("folder", ["k8s/base", "k8s/overlays/rancher-longhorn"])
def test_the_manifests_provide_what_the_page_says_and_only_variables_that_are_read(folder):
    settings = next(
        m["data"]
        for m in build(folder)
        if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith("settings-")
    )
    promised = {name for name, cells in ROWS.items() if cells[4] == "ConfigMap"}
    assert promised <= set(settings) <= set(ROWS)
    assert {cells[4] for cells in ROWS.values()} == {"ConfigMap", "Secret", "default"}
    assert not {name for name, cells in ROWS.items() if cells[4] == "Secret"} & set(settings)


def test_without_a_secret_key_the_program_says_which_variable_is_missing():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_the_demo_never_runs_on_a_named_database():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "SECRET_KEY": "x",
            "DEMO": "1",
            "DATABASE_URL": "postgres://hospital/cancer",
        },
        check=False,
    )
    assert done.returncode != 0
    assert "unset DATABASE_URL" in done.stderr
