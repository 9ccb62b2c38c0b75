"""Questions to one host: one session, one deadline for them all, a byte cap, bounded retries."""

import math
import random
import re
import threading
import time
from concurrent.futures import Future

import requests

from byzlib.market import _bybit_wire as wire
from byzlib.market._bybit_errors import (
    DISTRUST,
    NETWORK,
    BadResponse,
    Trouble,
    Unreachable,
    quote,
)

BODY_CAP = 8_000_000  # bytes of one unpacked reply; a full page has about 110,000
FIRST_WAIT = 0.25  # seconds before the second try; doubled each time, with jitter
PACE = 0.02  # seconds between requests, at least: Bybit allows 600 in 5 seconds
LOOPBACK = re.compile(r"https?://(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?")


class Line:
    """Asks `url` as often as needed until `deadline` seconds have passed in all."""

    def __init__(self, url, deadline):
        self.url, self.deadline = url, deadline
        self.start, self.sent = time.monotonic(), -math.inf
        self.session = requests.Session()
        # No proxy stands between this machine and itself.
        self.session.trust_env = not LOOPBACK.fullmatch(url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.session.close()

    def left(self):
        """Seconds until the deadline."""
        return self.start + self.deadline - time.monotonic()

    def ask(self, path, **params):
        """The envelope of a successful reply."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return wire.envelope_of(*self._reply(path, params))
            except Trouble as trouble:
                if trouble.wait is None:
                    raise
                jitter = random.SystemRandom().uniform(0.5, 1.5)
                wait = trouble.wait or FIRST_WAIT * 2 ** (attempt - 1) * jitter
                if attempt >= trouble.tries or wait >= self.left():
                    trouble.came += f" (tried {attempt} times)"
                    raise
            time.sleep(wait)

    def _reply(self, path, params):
        """Status, headers and body, by the deadline.

        The work is done in a thread that is left behind at the deadline: a socket's timeout starts
        anew with each byte, so it stops neither a server that drips nor a slow name lookup.
        """
        time.sleep(max(0.0, self.sent + PACE - time.monotonic()))
        self.sent, answer = time.monotonic(), Future()

        def work():
            try:
                answer.set_result(self._read(path, params))
            except BaseException as error:
                answer.set_exception(error)

        try:
            if self.left() <= 0:
                raise TimeoutError
            threading.Thread(target=work, daemon=True).start()
            return answer.result(timeout=max(0.0, self.left()))
        except TimeoutError:
            came = f"no complete answer within the deadline of {self.deadline:g} s"
            advice = "raise deadline, or ask for a shorter range"
            raise Trouble(Unreachable, came, advice) from None

    def _read(self, path, params):
        seconds = min(10.0, self.deadline / 3)
        try:
            with self.session.get(
                self.url + path, params=params, timeout=seconds, stream=True, allow_redirects=False
            ) as reply:
                body = bytearray()
                for piece in reply.iter_content(8192):
                    body += piece
                    if len(body) > BODY_CAP:
                        raise Trouble(BadResponse, f"over {BODY_CAP} bytes", DISTRUST)
                    if self.left() < 0:
                        raise TimeoutError
                return reply.status_code, reply.headers, bytes(body)
        except requests.exceptions.ContentDecodingError as error:
            came = "a body that does not unpack"
            raise Trouble(BadResponse, came, DISTRUST, wait=0, tries=2) from error
        except requests.RequestException as error:
            # A certificate does not mend by asking again; a connection may.
            wait = None if isinstance(error, requests.exceptions.SSLError) else 0
            came = f"no complete answer: {_root(error)}"
            raise Trouble(Unreachable, came, NETWORK, wait) from error


def _root(error):
    while error.__context__ is not None:
        error = error.__context__
    return quote(str(error) or type(error).__name__)
