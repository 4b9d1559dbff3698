"""The vendor's data centres. A project lives in one of them."""

from __future__ import annotations

from collections.abc import Mapping

DATA_CENTRES: Mapping[str, str] = {
    "cn": "https://openapi.tuyacn.com",
    "us": "https://openapi.tuyaus.com",
    "us-east": "https://openapi-ueaz.tuyaus.com",
    "eu": "https://openapi.tuyaeu.com",
    "eu-west": "https://openapi-weaz.tuyaeu.com",
    "in": "https://openapi.tuyain.com",
    "sg": "https://openapi-sg.iotbing.com",
}
"""Base URLs. Source: reference cloud §1."""
