"""Learning together: models, clients and their data, and training among liars.

clients     who holds which samples: `Client`, the splits, and how different the clients are
model       parameters as one flat vector: the network `SimpleModel`, the parabola `Quadratic`
training    `ByzantineFL`, a server and its clients; `one_by_one`, for rules that know single runs
history     `History`, what happened in a run or in a stack of runs
flower      the same among real machines; imported by its name, where Flower is installed
"""

from byzlib.federated._contract import one_by_one
from byzlib.federated.clients import (
    Client,
    label_shares,
    overclaim,
    split_by,
    split_dirichlet,
    split_iid,
    stack,
)
from byzlib.federated.history import History
from byzlib.federated.model import Quadratic, SimpleModel
from byzlib.federated.training import ByzantineFL

__all__ = [
    "ByzantineFL", "Client", "History", "Quadratic", "SimpleModel", "label_shares", "one_by_one",
    "overclaim", "split_by", "split_dirichlet", "split_iid", "stack",
]  # fmt: skip
