"""The OpenAPI 3.1 document, made from the routes page: nothing in it is written twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, get_args, get_origin

import msgspec
from apispec import APISpec

from kernel.access import Permission
from kernel.http import PROBLEM_TYPE, Endpoint, ProblemBody, Rate

REF: Final = "#/components/schemas/{name}"
WITHOUT_BODY: Final = frozenset({"GET", "DELETE"})


def document(endpoints: Sequence[Endpoint], *, version: str) -> dict[str, Any]:
    """Return the document for these endpoints."""
    shapes = [s for e in endpoints for s in (e.body, e.query, e.path, e.result) if _is_shape(s)] + [ProblemBody]
    unique = list({id(shape): shape for shape in shapes}.values())
    schemas, components = msgspec.json.schema_components(unique, ref_template=REF)
    by_shape = {id(shape): schema for shape, schema in zip(unique, schemas, strict=True)}
    spec = APISpec(title="onward", version=version, openapi_version="3.1.0")
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    for name, schema in components.items():
        spec.components.schema(name, schema)
    for endpoint in endpoints:
        path = re.sub(r"{(\w+):[^}]*}", r"{\1}", endpoint.route.path)
        operation = _operation(endpoint, by_shape, components)
        spec.path(path=path, operations={endpoint.route.method.lower(): operation})
    found: dict[str, Any] = spec.to_dict()
    return found


def _is_shape(shape: Any) -> bool:
    if shape is None or shape is type(None):
        return False
    if get_origin(shape) in (list, dict) or get_args(shape):
        return True
    return isinstance(shape, type) and issubclass(shape, msgspec.Struct)


def _operation(endpoint: Endpoint, by_shape: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    route = endpoint.route
    ok: dict[str, Any] = {"description": "OK"}
    if _is_shape(endpoint.result):
        ok["content"] = {"application/json": {"schema": by_shape[id(endpoint.result)]}}
    refused = {"description": "A problem", "content": {PROBLEM_TYPE: {"schema": by_shape[id(ProblemBody)]}}}
    responses = {str(route.status): ok, "default": refused}
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.removesuffix('.api').replace('.', '_')}_{route.handler.__name__}",
        "summary": endpoint.summary,
        "tags": [route.path.removeprefix("/api/v1/").split("/")[0]],
        "parameters": _parameters(endpoint.path, "path", by_shape, components)
        + _parameters(endpoint.query, "query", by_shape, components),
        "responses": responses,
        "x-permission": route.permission.value,
    }
    if route.rate is not Rate.NONE:
        operation["x-rate-class"] = route.rate.value
    if route.permission is not Permission.PUBLIC:
        operation["security"] = [{"bearer": []}]
    if _is_shape(endpoint.body) and route.method not in WITHOUT_BODY:
        content = {"application/json": {"schema": by_shape[id(endpoint.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(shape: Any, where: str, by_shape: dict[int, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if not _is_shape(shape):
        return []
    schema = components[by_shape[id(shape)]["$ref"].rsplit("/", 1)[1]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": where, "required": where == "path" or name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]
