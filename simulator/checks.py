"""Checks that the dialects share; the words are OpenAI's, each dialect wraps them in its own envelope."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from simulator.catalog import UNKNOWN_MODEL
from simulator.errors import ApiError

T = TypeVar("T")


def decode_body(raw: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """The body in the decoder's shape. Raises ApiError(400) for what is not a JSON object."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise ApiError(400, "The body of your request must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ApiError(
            400, f"We could not parse the JSON body of your request: {problem}."
        ) from None


def check_model(model: Any) -> None:
    """Raise ApiError unless the value names a model: 400, or 404 for the one that does not exist."""
    if type(model) is str and model:
        if model == UNKNOWN_MODEL:
            raise ApiError(
                404,
                f"The model `{model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        return
    if model is None or model == "":
        raise ApiError(400, "you must provide a model parameter")
    raise wrong_type("model", "a string", model)


def check_integer(name: str, value: Any, low: int, high: int | None) -> None:
    """Raise ApiError(400) unless the value is an integer from `low` to `high` (None: no bound)."""
    if type(value) is not int:
        raise wrong_type(name, "an integer", value)
    if value < low or (high is not None and value > high):
        below = value < low
        raise ApiError(
            400,
            f"Invalid '{name}': integer {'below minimum' if below else 'above maximum'} value. "
            f"Expected a value {'>=' if below else '<='} {low if below else high}, but got "
            f"{value} instead.",
            param=name,
            code="integer_below_min_value" if below else "integer_above_max_value",
        )


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Raise ApiError(400) unless the value is a number from `low` to `high`."""
    if type(value) not in (int, float):
        raise wrong_type(name, "a decimal", value)
    if not low <= value <= high:
        below = value < low
        raise ApiError(
            400,
            f"Invalid '{name}': decimal {'below minimum' if below else 'above maximum'} value. "
            f"Expected a value {'>=' if below else '<='} {low if below else high}, but got "
            f"{value} instead.",
            param=name,
            code="decimal_below_min_value" if below else "decimal_above_max_value",
        )


def check_member(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raise ApiError(400) for a value that is given and not among the allowed ones."""
    if value is not None and value not in allowed:
        raise wrong_member(name, value, allowed)


def wrong_member(name: str, value: Any, allowed: Iterable[str]) -> ApiError:
    """The refusal of a value that is none of the allowed ones."""
    listed = ", ".join(f"'{one}'" for one in allowed)
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {listed}.",
        param=name,
        code="invalid_value",
    )


def wrong_type(name: str, wanted: str, value: Any) -> ApiError:
    """The refusal of a value of another type than `wanted`, which reads on from "expected"."""
    return ApiError(
        400,
        f"Invalid type for '{name}': expected {wanted}, but got {_json_type(value)} instead.",
        param=name,
        code="invalid_type",
    )


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def missing(name: str) -> ApiError:
    """The refusal of a request without a field that it must have."""
    return ApiError(
        400,
        f"Missing required parameter: '{name}'.",
        param=name,
        code="missing_required_parameter",
    )
