"""Payloads are readable only with a key, and one that cannot be read harms nothing else."""

from __future__ import annotations

import base64

import pytest
from temporalio.api.common.v1 import Payload

from bursar import InvalidRequest
from bursar.temporal import EncryptionCodec, codec_keys

OLD, NEW = b"o" * 32, b"n" * 32
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"iban": "DE89"}')


async def test_a_payload_is_sealed_and_opens_again_after_a_rotation() -> None:
    [sealed] = await EncryptionCodec({"old": OLD}).encode([PLAIN])
    assert b"DE89" not in sealed.SerializeToString()
    assert await EncryptionCodec({"new": NEW, "old": OLD}).decode([sealed]) == [PLAIN]


async def test_what_does_not_open_passes_and_the_rest_is_read() -> None:
    codec = EncryptionCodec({"new": NEW})
    [foreign] = await EncryptionCodec({"old": OLD}).encode([PLAIN])
    [spoiled] = await codec.encode([PLAIN])
    spoiled.data = spoiled.data[:-1] + b"?"
    [good] = await codec.encode([PLAIN])
    signal = Payload(metadata={"encoding": b"json/plain"}, data=b'{"by": "ana"}')
    read = await codec.decode([foreign, spoiled, good, signal])
    assert read == [foreign, spoiled, PLAIN, signal]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"a": 1}', '{"a": "?"}', '{"a": "c2hvcnQ="}', "no json"]
)
def test_keys_that_cannot_be_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="BURSAR_CODEC_KEYS"):
        codec_keys(text)


def test_keys_are_read_from_base64() -> None:
    text = f'{{"k1": "{base64.b64encode(OLD).decode()}"}}'
    assert codec_keys(text) == {"k1": OLD}
