"""federated"""

from byzlib.federated.clients import (
    Client,
    label_shares,
    overclaim,
    split_by,
    split_dirichlet,
    split_iid,
    stack,
)
from byzlib.federated.history import (
    History,
    Recorder,
)
from byzlib.federated.model import (
    Quadratic,
    SimpleModel,
)
from byzlib.federated.training import (
    ByzantineFL,
)

__all__ = [
    "ByzantineFL",
    "Client",
    "History",
    "Quadratic",
    "Recorder",
    "SimpleModel",
    "label_shares",
    "overclaim",
    "split_by",
    "split_dirichlet",
    "split_iid",
    "stack",
]
