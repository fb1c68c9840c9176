"""Namespaces: made on a server that runs, with every search attribute that payments have."""

from __future__ import annotations

import asyncio

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from bursar import names

START_SECONDS_MAX = 60.0

KINDS = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
    "Bool": IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


async def make_namespace(client: Client, name: str) -> None:
    """Register a namespace with every search attribute, and wait until it can be used."""
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name,
            workflow_execution_retention_period=Duration(seconds=86_400),
        )
    )
    attributes = {each: KINDS[kind] for each, kind in names.SEARCH_ATTRIBUTES.items()}
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:  # a new namespace is known everywhere only after a moment
            try:
                await client.operator_service.add_search_attributes(
                    AddSearchAttributesRequest(namespace=name, search_attributes=attributes)
                )
                probe = await Client.connect(
                    client.service_client.config.target_host, namespace=name
                )
                await probe.count_workflows("PaymentState = 'none' AND NeedsOps = true")
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return
