"""A new node's folder: the files that its people fill in, and every key that it will need.

node.toml  policy.toml       to be filled in
identity.json                secret: of secure aggregation; card.json shows the public halves
keys/root.key officer.key    secret: of the ledger's roles, to be taken away; see `policies`
keys/ledger.key              secret: of the process that writes the ledger
keys/node.key  node.pub      secret and public: what the node shows to Flower
witness/key.json             secret: of the witness that signs for other ledgers
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import write_file
from fedcredit.adapters.folders import read_node
from fedcredit.adapters.institutions import PublicCard
from fedcredit.adapters.keyring import card_to_json, read_identity, write_identity
from fedcredit.adapters.node_keys import new_node_key
from fedcredit.adapters.policies import read_key_file, read_policy, write_roles
from fedcredit.adapters.witness_folder import new_key, witness_key
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import check_name
from fedcredit.ledger.founding import draw_roles
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.secagg.keys import new_identity
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId

__all__ = ["card_of", "init_node"]

_NODE: Final = """\
# The node of {name}. Nothing here is secret; keys stand in files of their own.

institution = "{name}"

# CSV or Parquet files with the institution's records, from this folder.
table = "data/*.parquet"

# Or, without `table`, a PostgreSQL database, read by a role that may do nothing else.
# [data]
# source = "postgres"
# dsn_file = "keys/dsn"     # secret, mode 0600: postgresql://role:password@host/database
# query_file = "query.sql"  # one SELECT

# What a study must not go below, whoever asks. These are the defaults.
[floor]
# fewest_institutions = 3   # in a study
# fewest_honest = 2         # in every sum, beside the colluders
# fewest_colluders = 1      # that a sum must stand against
# most_rounds = 100         # in a study, retries included
"""

_POLICY: Final = """\
# The privacy budget of {name}. It becomes the first entry of its ledger, so an auditor reads it.

# Name of the ledger, for good; without spaces and plus signs.
origin = "{name}/ledger"

# The most that all studies of the period may learn about a record together.
[budget]
epsilon = 3.0
epsilon_local = 9.0            # from what the institution itself sends, before sums hide it
person_epsilon = 6.0           # about a person who has records at several institutions
person_epsilon_local = 18.0

[period]
begins = "{year}-01-01"
ends = "{after}-01-01"         # the first day after it

# The most that one study may have.
[study]
epsilon = 1.0
automatic_epsilon = 0.0        # a study that costs at most this needs nobody's approval
# purposes = ["credit-scoring"]  # none: any

# How many witnesses must have signed before anything leaves.
[quorum]
witnesses = 2
beside_coordinator = 1

# Each witness, by the key that it publishes. Fill in at least as many as the quorum has.
# [[witness]]
# key = "shop.example/witness+1234abcd+..."
# url = "https://witness.shop.example"
# role = "institution"
"""


def init_node(folder: Path, name: str, year: int, random: RandomBytes) -> None:
    """Make a node's folder; no file in it is ever replaced.

    Args:
        folder: made if it is not there.
        name: the institution's, as plans will have it.
        year: that the first budget is for.
        random: secret bytes.

    Raises:
        ConfigError: the name is none, there is a node in the folder, or it cannot be written.
    """
    check_name(InstitutionId(name))
    taken = [
        one for one in ("node.toml", "policy.toml", "identity.json") if (folder / one).exists()
    ]
    if taken:
        raise ConfigError(f"{folder / taken[0]} exists", remedy="keep it, or name another folder")
    try:
        (folder / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigError(
            f"{folder} cannot be written: {problem.strerror}", remedy="name another folder"
        ) from None
    identity = new_identity(InstitutionId(name), random)
    write_identity(folder / "identity.json", identity)
    write_file(folder / "card.json", card_to_json(identity.card).encode())
    write_roles(folder / "keys", draw_roles(random))
    new_key(folder / "witness", f"{name}/witness")
    new_node_key(folder / "keys/node.key")
    write_file(folder / "node.toml", _NODE.format(name=name).encode())
    text = _POLICY.format(name=name, year=year, after=year + 1)
    write_file(folder / "policy.toml", text.encode())


def card_of(folder: Path, request: str) -> PublicCard:
    """The public halves of a node's keys.

    Args:
        folder: the node's.
        request: certificate request, PEM.

    Raises:
        ConfigError: a file is missing or malformed.
    """
    identity = read_identity(folder / "identity.json")
    if identity.name != read_node(folder).institution:
        raise ConfigError(
            f"{folder / 'identity.json'} holds keys of {identity.name!r}, node.toml says "
            f"{read_node(folder).institution!r}",
            remedy="put the institution's own keys there",
        )
    origin = read_policy(folder / "policy.toml").origin
    public = read_key_file(folder / "keys/ledger.key").public
    try:
        node = (folder / "keys/node.pub").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{folder / 'keys/node.pub'} cannot be read", remedy="restore it from its backup"
        ) from None
    return PublicCard(
        request=request,
        signing=identity.card.signing.hex(),
        sealing=identity.card.sealing.hex(),
        ledger=str(VerifierKey(origin, PLAIN, public)),
        witness=str(witness_key(folder / "witness")),
        node=node,
    )
