"""The errors of the market-data client, and how trouble travels until it becomes one of them.

Below the client nothing knows what was asked. What goes wrong there raises `Trouble`, which says
what came and what to do; the client adds what was asked and raises the public error.
"""

SAMPLE = "the simulated candles of load_sample"
NETWORK = f"check the network, or use {SAMPLE}"
DISTRUST = "use nothing of it, check base_url, and ask again later"
TRIES = 4  # at most, for troubles that may pass


class BybitError(Exception):
    """No candles; the message says what was asked, what came, and what to do."""


class BadRequest(BybitError):
    """What was asked cannot be done: an argument, or the cache file that it names.

    Arguments and the cache are checked before any request is sent. Only the server's clock can
    tell how long a range is that ends "now", and only a write that a disk is full.
    """


class UnknownSymbol(BybitError):
    """Bybit does not list this symbol in this category."""


class RateLimited(BybitError):
    """Too many requests, and waiting a little did not help."""


class RegionBlocked(BybitError):
    """Bybit does not serve the country that the request came from."""


class BadResponse(BybitError):
    """Something answered, but not with the candles that were asked for."""


class Unreachable(BybitError):
    """No complete answer within the tries and the deadline."""


for _error in (BybitError, *BybitError.__subclasses__()):
    _error.__module__ = "byzlib.market.bybit"  # tracebacks name the module that readers import


class Trouble(Exception):
    """Something that is no good, on its way to becoming one of the errors above.

    `wait` is None when asking again is of no use, 0 when it may help, and otherwise the seconds
    that the server asked for; `tries` is how often it may be asked in all.
    """

    def __init__(self, kind, came, advice, wait=None, tries=TRIES):
        super().__init__(came)
        self.kind, self.came, self.advice, self.wait, self.tries = kind, came, advice, wait, tries
        self.missing = None  # the first candle that did not come, once candles are asked for

    def error(self, asked):
        """The public error, in one sentence."""
        return self.kind(f"asked {asked}; got {self.came}; {self.advice}")


def quote(text, length=200):
    """The beginning of what came, safe to print."""
    if isinstance(text, bytes):
        text = text[: 4 * length].decode("utf-8", errors="replace")
    text = " ".join(str(text).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return repr(text if len(text) <= length else text[:length] + "...")
