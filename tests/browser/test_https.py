"""Actions over HTTP from a page: Chromium streams their bodies, which takes HTTP/2."""

from pathlib import Path
from typing import Any

import pytest

from tests.browser.browser import Browser
from tests.servers import ServerProcess

pytestmark = pytest.mark.browser

# What the official client does: a stream as the body, and credentials with management calls.
SCRIPT = """(async () => {
  const query =
    "?rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key=page";
  const body = () =>
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"args":[5]}'));
        controller.close();
      },
    });
  const call = async () => {
    const response = await fetch("/gateway/counter/action/increment" + query, {
      method: "POST",
      body: body(),
      duplex: "half",
      headers: { "content-type": "application/json" },
    });
    return (await response.json()).output;
  };
  const outputs = await Promise.all(Array.from({ length: 20 }, call));
  const response = await fetch("/actors?namespace=default", {
    method: "PUT",
    credentials: "include",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      name: "counter",
      key: "page",
      runner_name_selector: "default",
      crash_policy: "sleep",
    }),
  });
  const created = (await response.json()).created;
  const protocols = performance.getEntriesByType("resource").map((e) => e.nextHopProtocol);
  const frames = await new Promise((resolve) => {
    const socket = new WebSocket(
      location.origin.replace("http", "ws") + "/gateway/counter/connect" + query,
      ["rivet", "rivet_encoding.json"],
    );
    const tags = [];
    const request = { id: ["$BigInt", "0"], name: "increment", args: [1] };
    socket.onmessage = (message) => {
      tags.push(JSON.parse(message.data).body.tag);
      if (tags.length === 2) resolve(tags);
      else socket.send(JSON.stringify({ body: { tag: "ActionRequest", val: request } }));
    };
    socket.onclose = (event) => resolve([event.code, event.reason]);
  });
  return { outputs, created, protocols: [...new Set(protocols)], frames };
})()"""


def ask(url: str, profile: Path) -> Any:
    with Browser(profile) as browser:
        browser.open("page", url)
        return browser.do("evaluate", page="page", script=SCRIPT)


def test_with_https(tmp_path: Path) -> None:
    server = ServerProcess("tests.hosts.mounting:registry", "memory:", tmp_path / "log", https=True)
    with server:
        result = ask(f"{server.endpoint}/", tmp_path / "profile")

    assert sorted(result["outputs"]) == [5 * n for n in range(1, 21)]
    assert result["created"] is False
    assert result["protocols"] == ["h2"]
    assert result["frames"] == ["Init", "ActionResponse"]


def test_without_it_the_request_never_leaves_the_browser(tmp_path: Path) -> None:
    """The reason for all of this. If it fails one day, browsers have learned something."""
    from tests.browser.browser import BrowserError

    with (
        ServerProcess("tests.hosts.mounting:registry", "memory:", tmp_path / "log") as server,
        pytest.raises(BrowserError, match="Failed to fetch"),
    ):
        ask(f"{server.endpoint}/", tmp_path / "profile")
