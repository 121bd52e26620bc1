"""A consortium whose institutions are machines of their own, as far as the network goes.

Each has a network namespace with one address, on a bridge where the coordinator is too: what
listens on loopback is out of the others' reach, as between real machines. It needs root.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.consortium.people import Consortium, order


class Apart(Consortium):
    """See the top of this file."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self._bridge = f"b{os.getpid()}"
        self._net = f"10.214.{os.getpid() % 256}"
        self.host = f"{self._net}.1"

    def __enter__(self) -> Self:
        order(f"ip link add {self._bridge} type bridge")
        order(f"ip address add {self.host}/24 dev {self._bridge}")
        order(f"ip link set {self._bridge} up")
        for name in self.names:
            space, near = self._space(name), f"v{os.getpid()}{self.names.index(name)}"
            order(f"ip netns add {space}")
            order(f"ip link add {near} type veth peer name far netns {space}")
            order(f"ip link set {near} master {self._bridge} up")
            order(f"ip -n {space} address add {self.host_of(name)}/24 dev far")
            order(f"ip -n {space} link set far up")
            order(f"ip -n {space} link set lo up")
        return super().__enter__()

    def __exit__(self, *exit_: object) -> None:
        super().__exit__(*exit_)
        for words in (
            *(f"ip netns del {self._space(name)}" for name in self.names),
            f"ip link del {self._bridge}",
        ):
            with suppress(subprocess.CalledProcessError):
                order(words)

    def inside(self, name: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._space(name)) if name in self.names else ()

    def host_of(self, name: str) -> str:
        return f"{self._net}.{2 + self.names.index(name)}"

    def _space(self, name: str) -> str:
        return f"fed{os.getpid()}-{name}"
