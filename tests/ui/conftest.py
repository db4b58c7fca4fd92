"""A real Chromium, and registries whose time runs quickly."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.registry_process import RegistryProcess

expect.set_options(timeout=20_000)
QUICK = {"thresholds": {"heartbeat_interval": "1s", "warning_after": "3s", "offline_after": "6s"}}

OPERATOR_TOKEN = "operator-token-of-the-page"
"""In the file `tokens`, for settings that name it."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Not for the session: Playwright's event loop would run on under the tests of other modules."""
    found = shutil.which("chromium")
    if found is None:
        missing = "chromium is not on this machine: run make servers"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RegistryProcess]:
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(OPERATOR_TOKEN)
    with RegistryProcess(tmp_path, settings=getattr(request, "param", QUICK)) as registry:
        yield registry


@pytest.fixture
def open_page(chromium: Browser, registry: RegistryProcess) -> Iterator[Callable[..., Page]]:
    """Opens a page of the registry; a test fails on an error in its console, and on a request for anybody else."""
    faults: list[str] = []
    with ExitStack() as stack:

        def open_it(path: str = "/", *, tolerant: bool = False, **settings: Any) -> Page:
            context = chromium.new_context(**settings)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            if not tolerant:
                page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            page.on(
                "request",
                lambda request: None if request.url.startswith(registry.url) else faults.append(request.url),
            )
            page.goto(registry.url + path)
            return page

        yield open_it
    assert faults == []
