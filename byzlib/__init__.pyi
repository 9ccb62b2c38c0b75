"""Types of the public names; the docstrings stand with the functions."""

from byzlib import aggregators as aggregators
from byzlib import attacks as attacks
from byzlib import checks as checks
from byzlib import experiments as experiments
from byzlib import federated as federated
from byzlib import market as market
from byzlib import metrics as metrics
from byzlib import plotting as plotting
from byzlib import risk as risk
from byzlib import theory as theory

__version__: str
ROOMS: list[str]
