"""The rooms of docs/DEVELOPING.md: permitted imports in scorer/ and export/, none of them circular."""

import ast
from graphlib import CycleError, TopologicalSorter

import pytest
from factories import ROOT

# A room imports itself, the rooms named here, and the rooms that those may import. Modules in no room are the front.
SCORER = {
    "base": (),
    "storage": ("base",),
    "engine": ("base",),
    "rows": ("storage",),
    "model": ("engine", "storage"),
    "report": ("rows", "model"),
    "run": ("report",),
    "cluster": ("run",),
    "forecast": ("run",),
    "verify": ("run",),
    "cli": ("cluster", "forecast", "verify"),
    "front": ("cli",),
}
# The modules of export itself are in no room either: the rooms import them, and they import no room.
EXPORT = {
    "data": (),
    "encoder": ("data",),
    "classifier": ("encoder",),
    "graph": ("classifier",),
    "evaluation": ("classifier",),
    "bundle": ("graph", "evaluation"),
    "training": ("bundle",),
    "importing": ("bundle",),
    "cli": ("training", "importing"),
    "front": ("cli",),
}


def modules(package):
    """Yield the dotted name of each module of a package, with its syntax tree."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), ast.parse(path.read_text())


def imports(tree, known):
    """Yield the project's modules that a module imports, at its top or inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found = whole if whole in known else node.module
                if found in known:
                    yield found


def room_of(module):
    package, *rest = module.split(".")
    if package == "export" and rest not in ([], ["__main__"]) and not (ROOT / package / rest[0]).is_dir():
        return "data"
    return rest[0] if len(rest) > 0 and (ROOT / package / rest[0]).is_dir() else "front"


def reachable(rooms, room):
    return {room}.union(*(reachable(rooms, below) for below in rooms[room]))


@pytest.mark.parametrize(("package", "rooms"), [("scorer", SCORER), ("export", EXPORT)])
def test_every_import_stays_in_its_room_or_goes_down(package, rooms):
    trees = dict(modules(package))
    assert {room_of(module) for module in trees} == set(rooms)
    up = [
        f"{module} ({room_of(module)}) imports {found} ({room_of(found)})"
        for module, tree in trees.items()
        for found in imports(tree, trees)
        if room_of(found) not in reachable(rooms, room_of(module))
    ]
    assert not up, "\n".join(up)


@pytest.mark.parametrize("package", ["scorer", "export"])
def test_no_module_imports_itself_by_way_of_others(package):
    trees = dict(modules(package))
    try:
        TopologicalSorter({module: set(imports(tree, trees)) for module, tree in trees.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_scorer_knows_neither_the_training_stage_nor_its_libraries():
    for module, tree in modules("scorer"):
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & {"export", "torch", "transformers", "onnx"}, module
