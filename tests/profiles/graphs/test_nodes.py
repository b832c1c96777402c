"""Nodes by the driver's library: what is asked of it, and what it may lack."""

import pytest

from rocmoe.profiles.graphs.nodes import (
    Library,
    UnreadError,
    count_nodes,
    draw_nodes,
    load_library,
)

GRAPH = 0x7000


class Driver:
    """A driver with one graph, whose nodes are of some kinds; prefix: of its functions."""

    def __init__(self, prefix, kinds, error=0):
        self.kinds, self.error = kinds, error
        for name in ("GetNodes", "NodeGetType", "DebugDotPrint"):
            setattr(self, f"{prefix}Graph{name}", getattr(self, name))

    def GetNodes(self, graph, nodes, count):
        assert graph.value == GRAPH
        if nodes is None:
            count._obj.value = len(self.kinds)
        else:
            assert count._obj.value == len(self.kinds)
            for number in range(len(self.kinds)):
                nodes[number] = 1 + number
        return self.error

    def NodeGetType(self, node, kind):
        kind._obj.value = self.kinds[node.value - 1]
        return 0

    def DebugDotPrint(self, graph, path, flags):
        assert (graph.value, flags.value) == (GRAPH, 1)
        if self.kinds:
            with open(path, "w") as file:
                file.write("digraph dot {\n}\n")
        return 0


@pytest.mark.parametrize(
    ("prefix", "of_12", "of_13"),
    [("hip", "memcpy from symbol", "memcpy to symbol"), ("cu", "batch mem op", "conditional")],
)
def test_nodes_are_counted_by_kind_as_each_driver_numbers_them(prefix, of_12, of_13):
    library = Library(Driver(prefix, [0, 0, 0, 2, 1, 12, 13, 99]), prefix)
    assert count_nodes(library, GRAPH) == {
        "kernel": 3, "memset": 1, "memcpy": 1, of_12: 1, of_13: 1, "kind 99": 1,
    }  # fmt: skip


def test_errors_and_functions_that_are_not_there_are_told():
    with pytest.raises(UnreadError, match=r"^hipGraphGetNodes returned error 1$"):
        count_nodes(Library(Driver("hip", [0], error=1), "hip"), GRAPH)
    with pytest.raises(UnreadError, match=r"^the driver has no cuGraphGetNodes$"):
        count_nodes(Library(Driver("hip", [0]), "cu"), GRAPH)


def test_a_graph_is_drawn_or_the_lack_of_a_file_told(tmp_path):
    draw_nodes(Library(Driver("cu", [0]), "cu"), GRAPH, tmp_path / "graph.dot")
    assert (tmp_path / "graph.dot").read_text().startswith("digraph")
    with pytest.raises(UnreadError, match=r"the driver wrote no .*none\.dot"):
        draw_nodes(Library(Driver("cu", []), "cu"), GRAPH, tmp_path / "none.dot")


def test_the_hip_library_is_the_one_that_torch_loaded(tmp_path):
    path = tmp_path / "libamdhip64.so.7"
    path.symlink_to(find_loaded("libc.so.6"))
    maps = tmp_path / "maps"
    maps.write_text(f"7f00-7f01 r-xp 00000000 00:00 7   {path}\n7f02-7f03 rw-p 00000000 00:00 0\n")
    library = load_library(hip=True, maps=maps)
    assert isinstance(library, Library)
    assert (library.prefix, library.functions._name) == ("hip", str(path))


def find_loaded(name):
    with open("/proc/self/maps") as maps:
        return next(line.split()[-1] for line in maps if f"/{name}" in line)


def test_without_a_driver_the_library_is_missing_and_nothing_raises(tmp_path):
    maps = tmp_path / "maps"
    maps.write_text("")
    missing = load_library(hip=True, maps=maps)
    assert isinstance(missing, UnreadError)
    assert "libamdhip64.so cannot be loaded" in str(missing)
