"""python -m byzlib.market BTCUSDT --interval 5 --days 30"""

import sys

from byzlib.market.command import main

sys.exit(main())
