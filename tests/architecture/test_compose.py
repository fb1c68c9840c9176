"""docker-compose.yml: true to its specification, and its command lines run outside Docker too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

from bursar.names import SEARCH_ATTRIBUTES
from ops.container_secrets import BOOKS, make
from ops.ports import LOOPBACK, free_port
from ops.program import ROOT, environment
from ops.temporal import LocalTemporal

START_SECONDS_MAX = 90.0
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "bursar"}
PROCESSES = ("simulator", "gateway", "worker-payments", "worker-partner-simulator")


def schema() -> Any:
    """Return the compose specification's schema, as a package carries it."""
    file = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    return json.loads(file.read_text())


def problems(document: Any) -> list[str]:
    validator = jsonschema.validators.validator_for(schema())
    return [
        f"{error.json_path}: {error.message}" for error in validator(schema()).iter_errors(document)
    ]


def secrets_of(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return each secret of a service: its name, and the file it becomes in the container."""
    for secret in service.get("secrets", ()):
        if isinstance(secret, str):
            yield secret, secret
        else:
            yield secret["source"], secret["target"]


def test_the_file_follows_the_compose_specification() -> None:
    assert problems(COMPOSE) == []


def test_the_schema_would_find_a_mistake() -> None:
    broken = {**COMPOSE, "services": {**SERVICES, "gateway": {"image": "bursar", "comand": []}}}

    assert problems(broken)


def test_what_a_service_waits_for_exists_and_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            awaited = SERVICES[other]
            if how["condition"] == "service_healthy":
                assert "healthcheck" in awaited, f"{name} waits for the health of {other}"
            else:
                assert how["condition"] == "service_completed_successfully"
                assert "healthcheck" not in awaited, f"{other} is a job that ends"
                assert awaited["restart"].startswith("on-failure"), f"{other} is a job that ends"


def test_every_process_that_stays_has_a_health_check() -> None:
    without = {name for name, service in SERVICES.items() if "healthcheck" not in service}

    assert without == {"migrate", "temporal-schema", "temporal-namespace", "temporal-ui"}


def test_nothing_is_published_beyond_this_machine() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_secrets_come_as_files_and_never_as_variables() -> None:
    suspicious = re.compile(r"PASSWORD|PWD|SECRET|KEY|TOKEN|URL")
    harmless = re.compile(r"(_FILE|_DIR)$|^(PARTNER_SIMULATOR|BANK_WEBHOOK)_URL$")
    for service in SERVICES.values():
        for name in service.get("environment", {}):
            assert harmless.search(name) or not suspicious.search(name), name


def test_every_secret_is_made_by_the_command_that_the_page_names(tmp_path: Path) -> None:
    made = {name for name in make(tmp_path) if not name.startswith("token_")}
    files = {name: Path(given["file"]).name for name, given in COMPOSE["secrets"].items()}
    used = {source for service in SERVICES.values() for source, _ in secrets_of(service)}

    assert used == set(files)
    assert made == {*files.values()}
    assert make(tmp_path) == ()


def test_the_buttons_that_could_lose_or_repeat_a_payment_are_off() -> None:
    ui = SERVICES["temporal-ui"]["environment"]

    for action in (
        "WORKFLOW_TERMINATE",
        "WORKFLOW_RESET",
        "WORKFLOW_CANCEL",
        "BATCH_ACTIONS",
        "START_WORKFLOW",
    ):
        assert ui[f"TEMPORAL_{action}_DISABLED"] == "true"


def test_each_queue_of_the_partners_has_a_worker() -> None:
    queues = {SERVICES[name]["command"][-1] for name in SERVICES if name.startswith("worker-")}
    partners = json.loads(SERVICES["gateway"]["environment"]["BURSAR_PARTNERS"])

    assert queues == {"payments", *(f"partner-{partner}" for partner in partners)}


def test_the_image_holds_every_package_that_its_commands_need() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = set(re.findall(r"^COPY (\w+) \./\w+$", dockerfile, re.MULTILINE))
    allowed = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))

    assert copied == {
        "bursar",
        "workflows",
        "activities",
        "partners",
        "ledger",
        "gateway",
        "workers",
    }
    assert copied <= allowed
    for service in OURS.values():
        assert service["command"][:2] == ["python", "-m"]
        assert service["command"][2].partition(".")[0] in copied


@dataclass
class Outside:
    """The compose file's processes outside Docker: same commands, other addresses and places."""

    replaced: dict[str, str]
    directory: Path
    programs: Path
    """A folder where `temporal` is the command of that name."""

    def put(self, text: str) -> str:
        """Return a text of the compose file with addresses and places of this test."""
        for there, here in self.replaced.items():
            text = text.replace(there, here)
        return text

    def secrets(self, name: str) -> Path:
        """Write what a service would see under /run/secrets, once: it may be reading it already."""
        folder = self.directory / "secrets" / name
        if folder.exists():
            return folder
        folder.mkdir(parents=True)
        for source, target in secrets_of(SERVICES[name]):
            made = self.directory / "made" / Path(COMPOSE["secrets"][source]["file"]).name
            (folder / target).write_text(self.put(made.read_text()))
        return folder

    def environment(self, name: str) -> dict[str, str]:
        """Return a service's environment."""
        folder = str(self.secrets(name))
        ready = str(self.directory / f"ready-{name}")
        given = {
            key: self.put(value).replace("/run/secrets", folder).replace("/tmp/ready", ready)  # noqa: S108
            for key, value in SERVICES[name].get("environment", {}).items()
        }
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return environment({**given, "PATH": path})

    async def run(self, name: str, command: list[str]) -> int:
        """Run one of a service's commands to its end, with its output in its log."""
        process = await self.start(name, command)
        async with asyncio.timeout(START_SECONDS_MAX):
            return await process.wait()

    async def start(self, name: str, command: list[str]) -> asyncio.subprocess.Process:
        """Start one of a service's commands."""
        ready = str(self.directory / f"ready-{name}")
        words = [self.put(word).replace("/tmp/ready", ready) for word in command]  # noqa: S108
        program = sys.executable if words[0] == "python" else words[0]
        with (self.directory / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                program, *words[1:], cwd=ROOT, env=self.environment(name), stdout=log, stderr=log
            )

    async def wait_until_healthy(self, name: str, process: asyncio.subprocess.Process) -> None:
        """Run a service's own health check until it succeeds."""
        check = SERVICES[name]["healthcheck"]["test"]
        assert check[0] == "CMD"
        async with asyncio.timeout(START_SECONDS_MAX):
            while await self.run(name, check[1:]) != 0:
                assert process.returncode is None, (self.directory / f"{name}.log").read_text()
                await asyncio.sleep(0.2)


@pytest.fixture
def outside(temporal: LocalTemporal, admin_url: str, tmp_path: Path) -> Outside:
    make(tmp_path / "made")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "temporal").symlink_to(temporal.binary)
    gateway = free_port()
    simulator = free_port(taken=frozenset({gateway}))
    books = admin_url.rpartition("@")[2]
    admin = COMPOSE["secrets"]["admin_database_url"]["file"]
    (tmp_path / "made" / Path(admin).name).write_text(admin_url)
    return Outside(
        replaced={
            BOOKS: books,
            "temporal:7233": temporal.address,
            "gateway:8080": f"{LOOPBACK}:{gateway}",
            "simulator:8765": f"{LOOPBACK}:{simulator}",
            "0.0.0.0": LOOPBACK,  # noqa: S104
            "8080": str(gateway),
            "8765": str(simulator),
            "/data/": f"{tmp_path}/",
            "/etc/bursar/rules.toml": str(ROOT / COMPOSE["configs"]["rules"]["file"]),
        },
        directory=tmp_path,
        programs=programs,
    )


@contextlib.asynccontextmanager
async def running(outside: Outside, *names: str) -> AsyncIterator[None]:
    """Run services, each healthy before the next starts; at the end each must stop well."""
    started: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name in names:
            started[name] = await outside.start(name, OURS[name]["command"])
            await outside.wait_until_healthy(name, started[name])
        yield
    finally:
        for process in started.values():
            if process.returncode is None:
                process.terminate()
        ends = {name: await process.wait() for name, process in started.items()}
    assert ends == dict.fromkeys(names, 0)


async def test_each_command_of_our_image_runs_and_becomes_healthy_outside_docker(
    outside: Outside,
) -> None:
    assert set(OURS) == {"migrate", *PROCESSES}
    log = outside.directory / "migrate.log"
    assert await outside.run("migrate", OURS["migrate"]["command"]) == 0, log.read_text()

    async with running(outside, *PROCESSES):
        pass


async def test_the_namespace_job_makes_every_search_attribute_and_can_run_again(
    outside: Outside, temporal: LocalTemporal
) -> None:
    name = temporal.unique("compose")
    service = SERVICES["temporal-namespace"]
    (script,) = service["command"]
    command = [*service["entrypoint"], script.replace("$$", "$")]
    outside.replaced["bursar"] = name

    for _ in range(2):
        log = outside.directory / "temporal-namespace.log"
        assert await outside.run("temporal-namespace", command) == 0, log.read_text()

    listed = await temporal.client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=name)
    )
    kinds = {
        key: IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").lower()
        for key, kind in listed.custom_attributes.items()
    }
    assert {key: kinds[key] for key in SEARCH_ATTRIBUTES} == {
        key: kind.lower() for key, kind in SEARCH_ATTRIBUTES.items()
    }


@pytest.mark.parametrize("name", ["temporal-schema", "temporal", "temporal-namespace"])
async def test_each_script_is_one_that_a_shell_can_read(name: str) -> None:
    service = SERVICES[name]
    (script,) = service["command"]
    assert service["entrypoint"] == ["sh", "-euc"]

    process = await asyncio.create_subprocess_exec("sh", "-nc", script.replace("$$", "$"))

    assert await process.wait() == 0
