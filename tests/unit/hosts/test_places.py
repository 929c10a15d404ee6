"""Places: of which processes one can say that nobody listens at their loopback addresses."""

from pathlib import Path

import pytest

from rivetless.hosts import places
from rivetless.hosts.places import find_place, is_loopback


def test_a_place_is_one_start_of_a_kernel_and_a_network_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot, network = tmp_path / "boot_id", tmp_path / "net"
    monkeypatch.setattr(places, "_BOOT", boot)
    monkeypatch.setattr(places, "_NETWORK", network)
    assert find_place() == ""
    found = set[str]()
    for start in ("a", "b"):
        boot.write_text(start)
        for namespace in ("net:[1]", "net:[2]"):
            network.unlink(missing_ok=True)
            network.symlink_to(namespace)
            assert find_place() == find_place()
            found.add(find_place())
    assert len(found) == 4
    assert "" not in found


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:80", True),
        ("http://[::1]:80", True),
        ("http://10.0.0.1:80", False),
        ("http://example.test:80", False),
        ("", False),
    ],
)
def test_loopback(url: str, says: bool) -> None:
    assert is_loopback(url) is says
