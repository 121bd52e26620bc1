"""The manifests for Kubernetes and the compose file: sound by schema, and as closed as they say."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "configs/kubernetes").glob("*.yaml"))
VERSION = "1.30"  # the oldest that has all that the manifests use


def loaded(path: Path) -> list[dict[str, object]]:
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]


def named(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for one in loaded(path):
        yield f"{path.stem}/{one['kind']}", one


RESOURCES = [pair for path in FILES for pair in named(path)]


def at(value: object, *keys: str | int) -> object:
    for key in keys:
        value = value[key]  # type: ignore[index]
    return value


def pods() -> list[tuple[str, object]]:
    return [
        (name, at(one, "spec", "template", "spec"))
        for name, one in RESOURCES
        if one["kind"] in ("StatefulSet", "Job")
    ]


@pytest.mark.parametrize(("name", "resource"), RESOURCES)
def test_every_manifest_keeps_to_the_schema_of_kubernetes(
    name: str, resource: dict[str, object]
) -> None:
    assert kubernetes_validate.validate(resource, VERSION, strict=True) == VERSION


def test_a_misspelt_key_would_be_found() -> None:
    (wrong,) = (deepcopy(one) for name, one in RESOURCES if name == "coordinator/StatefulSet")
    spec = at(wrong, "spec", "template", "spec", "containers", 0, "securityContext")
    assert isinstance(spec, dict)
    spec["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


@pytest.mark.parametrize(("name", "pod"), pods())
def test_no_pod_is_root_or_writes_outside_its_volumes(name: str, pod: dict[str, object]) -> None:
    assert at(pod, "securityContext", "runAsNonRoot") is True
    assert pod["automountServiceAccountToken"] is False
    containers = at(pod, "containers")
    assert isinstance(containers, list)
    for one in containers:
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_every_pod_has_a_network_policy_and_nothing_reaches_a_node() -> None:
    policies = {
        str(at(one, "spec", "podSelector", "matchLabels", "app")): one["spec"]
        for _, one in RESOURCES
        if one["kind"] == "NetworkPolicy"
    }
    apps = {
        str(at(one, "spec", "template", "metadata", "labels", "app"))
        for _, one in RESOURCES
        if one["kind"] in ("StatefulSet", "Job")
    }
    assert set(policies) == apps
    assert at(policies["fedcredit-node"], "ingress") == []


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
NODES = ("direct-bank", "north-bank", "south-bank", "telco", "utility")


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_no_service_gains_rights_or_writes_outside_its_volumes(service: str) -> None:
    found = COMPOSE["services"][service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges"]
    assert {"environment", "env_file", "privileged", "ports"}.isdisjoint(found)


def test_every_node_is_a_light_one_unless_somebody_says_otherwise() -> None:
    images = {str(COMPOSE["services"][name]["image"]) for name in NODES}
    assert images == {"localhost/fedcredit-${FEDCREDIT_NODE:-node}"}


def test_no_two_nodes_share_a_network_and_none_leads_outside() -> None:
    assert all(one == {"internal": True} for one in COMPOSE["networks"].values())
    networks = [set(COMPOSE["services"][name]["networks"]) for name in NODES]
    assert sum(map(len, networks)) == len(set().union(*networks))
