"""Fixtures: a customer's webhook endpoint, a funded bank, and banks with other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bank.process import BankProcess
from tests.bank.receiver import Receiver

StartBank = Callable[..., BankProcess]


@pytest.fixture(scope="session")
def shared_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def bank(
    tmp_path_factory: pytest.TempPathFactory, shared_receiver: Receiver
) -> Iterator[BankProcess]:
    """A bank that honours keys and finds by reference; tests share it, each with own references."""
    process = BankProcess(tmp_path_factory.mktemp("bank"), shared_receiver.url)
    process.fund("EUR", "USD", "KES", "JPY")
    yield process
    assert process.stop() == 0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint of one test's own."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def start_bank(tmp_path: Path) -> Iterator[StartBank]:
    """Start a funded bank with settings of the test's own."""
    started: list[BankProcess] = []

    def start(webhook_url: str | None = None, **settings: str) -> BankProcess:
        directory = tmp_path / f"bank{len(started)}"
        directory.mkdir()
        process = BankProcess(directory, webhook_url, **settings)
        started.append(process)
        process.fund("EUR")
        return process

    yield start
    for process in started:
        process.stop()
