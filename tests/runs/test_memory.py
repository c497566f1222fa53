import pytest

from spiking_lmu.errors import SpecError
from spiking_lmu.runs import memory


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1b", 1),
        ("2kB", 2000),
        ("2 KiB", 2048),
        ("500MB", 500_000_000),
        ("2GiB", 2 << 30),
        ("0.5GiB", 1 << 29),
        (" 1tib ", 1 << 40),
    ],
)
def test_sizes(text, size):
    assert memory.parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "GiB", "-1GB", "0", "0.0001B", "nan", "inf", "1e9", "2 GB more", "2XB", "٣GB", "9" * 99],
)
def test_nonsense_is_refused(text):
    with pytest.raises(SpecError, match="500MB"):
        memory.parse_size(text)


def test_what_was_asked_for_is_divided():
    assert memory.share(1000, 3) == 333
    assert memory.share(1, 3) == 1


@pytest.mark.parametrize(("free", "share"), [(None, None), (8 << 30, None), (1 << 30, 1 << 28)])
def test_unasked_a_share_of_what_is_free(monkeypatch, free, share):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    assert memory.share(None, 2) == share
    assert memory.share(None, 2, here=False) is None


def test_free_memory_is_the_containers(tmp_path, monkeypatch):
    files = {"info": "MemTotal: 9 kB\nMemAvailable:   4000 kB\n", "max": "3000000\n", "use": "5\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "info")
    monkeypatch.setattr(memory, "CGROUP", (tmp_path / "max", tmp_path / "use"))
    assert memory.free_bytes() == 2_999_995
    (tmp_path / "max").write_text("max\n")
    assert memory.free_bytes() == 4_096_000
    (tmp_path / "info").unlink()
    assert memory.free_bytes() is None
