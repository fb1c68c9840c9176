"""Temporal: the one plugin that clients, workers and replays share, and how to connect."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, GrpcCompression
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)
from temporalio.plugin import SimplePlugin
from temporalio.worker.workflow_sandbox import SandboxRestrictions

from bursar.errors import InvalidRequest, ServiceUnavailable
from bursar.sandbox import Sandbox

CODEC_KEYS_VARIABLE = "BURSAR_CODEC_KEYS"
"""JSON object {key id: base64 of 32 bytes}; the first one encrypts, all of them decrypt."""

ENCODING = b"binary/encrypted"

log = logging.getLogger(__name__)

SANDBOX = Sandbox(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        # Ours, and pure or reached only as typed references; `workflows` itself stays inside.
        "activities",
        "bursar",
        "ledger",
        "partners",
    )
)


_CONVERTERS = tuple(PydanticPayloadConverter().converters.values())


class _Converter(CompositePayloadConverter):
    """Pydantic's converter, whose readers of types serve the whole process, and not one run."""

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)


PLAIN = DataConverter(payload_converter_class=_Converter)


class EncryptionCodec(PayloadCodec):
    """Encrypts every payload with AES-256-GCM; the key's id rides along, so keys can rotate."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active = next(iter(keys))

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads with the active key."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt what is encrypted; plain payloads, such as a person's signal, pass.

        What does not decrypt passes as it is: nothing can be read from it, so the one call or
        signal that it belongs to fails by itself. An error here would fail all of a run's tasks.
        """
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = secrets.token_bytes(12)
        key_id = self._active.encode()
        sealed = self._keys[self._active].encrypt(nonce, payload.SerializeToString(), key_id)
        return Payload(
            metadata={"encoding": ENCODING, "encryption-key-id": key_id}, data=nonce + sealed
        )

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key_id = payload.metadata.get("encryption-key-id", b"")
        key = self._keys.get(key_id.decode(errors="replace"))
        if key is None:
            log.warning("a payload names a key that is not known here")
            return payload
        try:
            plain = key.decrypt(payload.data[:12], payload.data[12:], key_id)
            return Payload.FromString(plain)
        except (InvalidTag, ValueError, DecodeError):
            log.warning("a payload does not decrypt with the key that it names")
            return payload


def codec_keys(text: str) -> dict[str, bytes]:
    """Read the keys out of the JSON text of `BURSAR_CODEC_KEYS`.

    Raises:
        InvalidRequest: The text is no JSON object of base64 keys of 32 bytes.
    """
    try:
        keys = {
            str(key_id): base64.b64decode(key, validate=True)
            for key_id, key in json.loads(text).items()
        }
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise InvalidRequest(
            f"{CODEC_KEYS_VARIABLE} must be a JSON object of key ids and base64 keys"
        ) from error
    if not keys or any(len(key) != 32 for key in keys.values()):
        raise InvalidRequest(f"{CODEC_KEYS_VARIABLE} needs at least one key, each of 32 bytes")
    return keys


def data_converter(keys: Mapping[str, bytes] | None = None) -> DataConverter:
    """Return the converter of all payloads; with keys, payloads and failures are encrypted."""
    if not keys:
        return PLAIN
    return replace(
        PLAIN,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def plugin(keys: Mapping[str, bytes] | None = None) -> SimplePlugin:
    """Return the plugin that client, workers and replayer share: converter, codec, sandbox."""
    return SimplePlugin("bursar", data_converter=data_converter(keys), workflow_runner=SANDBOX)


async def connect(address: str, namespace: str, *, lazy: bool = False) -> Client:
    """Connect to Temporal with the shared plugin.

    Args:
        address: Host and port, such as "127.0.0.1:7233".
        namespace: The namespace that holds the payments.
        lazy: Connect only at the first call, so that a service may start before Temporal.

    Raises:
        ServiceUnavailable: Nobody answers at the address.
    """
    text = os.environ.get(CODEC_KEYS_VARIABLE, "")
    keys = codec_keys(text) if text else None
    loopback = address.startswith(("127.", "localhost", "[::1]"))
    try:
        return await Client.connect(
            address,
            namespace=namespace,
            plugins=[plugin(keys)],
            lazy=lazy,
            grpc_compression=GrpcCompression.NONE if loopback else GrpcCompression.GZIP,
        )
    except RuntimeError as error:  # what the SDK raises when the first connection fails
        raise ServiceUnavailable(
            f"Temporal does not answer at {address}; is it running, and is the address right?"
        ) from error
