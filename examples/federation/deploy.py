"""A Flower federation on this machine: one SuperLink, some SuperNodes, all in their own processes.

Messages go through TLS with a certificate that is made for the occasion; nodes show a key that was
registered. Everything lives in a folder of its own, which is gone at the end, as all processes are.
"""

import concurrent.futures
import contextlib
import datetime
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BIN = Path(sys.executable).parent
PATIENCE = 120.0  # seconds until a process that should have started is taken to have failed


class Federation:
    """A SuperLink and its SuperNodes, while the `with` lasts.

    Parameters
    ----------
    desks : list of dict
        What each node is told, `--node-config`; one node for each.
    """

    def __init__(self, desks):
        self.desks = desks
        self.processes = {}  # name: Popen
        self._starts = [0] * len(desks)

    def __enter__(self):
        self._cleaning = contextlib.ExitStack()
        self.folder = Path(
            self._cleaning.enter_context(tempfile.TemporaryDirectory(prefix="federation-"))
        )
        self._cleaning.callback(self._stop_all)
        try:
            self._start()
        except BaseException:
            self._cleaning.close()
            raise
        return self

    def __exit__(self, *_):
        self._cleaning.close()

    def run(self, app, **config):
        """Start an app with a run config; returns the number of the run, which goes on."""
        words = " ".join(f"{name}={json.dumps(value)}" for name, value in config.items())
        return self.flwr("run", app, "--run-config", words)["run-id"]

    def kill(self, k):
        """End node k, as a power cut would."""
        self._end([f"node {k}"], signal.SIGKILL)

    def revive(self, k):
        """Start node k again, with the key it had."""
        self._start_node(k)
        self._wait_for_node(k)

    def log(self, name="superlink"):
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    # Starting

    def _start(self):
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        authority, certificate, key = _certificates(self.folder)
        (self.folder / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self.address}"\n'
            f'root-certificates = "{authority}"\n'
        )
        self._spawn(
            "superlink",
            *("flower-superlink", "--host", "127.0.0.1", "--port", str(port)),
            *("--ssl-certfile", certificate, "--ssl-keyfile", key, "--ssl-ca-certfile", authority),
            *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
        )
        self.wait_for(lambda: _answers(port), "the SuperLink")
        keys = [_key_pair(self.folder, f"node-{k}") for k in range(len(self.desks))]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = pool.map(lambda key: self.flwr("supernode", "register", key), keys)
            self.nodes = [int(answer["node-id"]) for answer in answers]
        for k in range(len(self.desks)):
            self._start_node(k)
        for k in range(len(self.desks)):
            self._wait_for_node(k)

    def _wait_for_node(self, k):
        """It says its number once the SuperLink has let it in."""
        known = f"SuperNode ID: {self.nodes[k]}"
        self.wait_for(lambda: self.log(f"node {k}").count(known) == self._starts[k], f"node {k}")

    def _start_node(self, k):
        self._starts[k] += 1
        told = " ".join(f"{name}={json.dumps(value)}" for name, value in self.desks[k].items())
        self._spawn(
            f"node {k}",
            *("flower-supernode", "--superlink", self.address, "--node-config", told),
            *("--root-certificates", self.folder / "authority.pem"),
            *("--auth-supernode-private-key", self.folder / f"node-{k}"),
            *("--port", str(_free_port())),
        )

    def _spawn(self, name, program, *arguments):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [BIN / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is ours to handle
            )

    def flwr(self, *arguments):
        """What the command `flwr` says, as JSON."""
        done = subprocess.run(
            [BIN / "flwr", *arguments, "--format", "json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self._environment(),
            cwd=self.folder,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"flwr {arguments[0]} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def _environment(self):
        there = {
            "FLWR_HOME": str(self.folder),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "TMPDIR": str(self.folder),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return os.environ | there

    def wait_for(self, condition, what, patience=PATIENCE):
        """Wait until condition(); RuntimeError with the end of the log where it does not come."""
        until = time.monotonic() + patience
        while not condition():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended early:\n{self.log(name)[-2000:]}")
            if time.monotonic() > until:
                raise RuntimeError(f"waited {patience:.0f} s for {what}:\n{self.log()[-2000:]}")
            time.sleep(0.2)

    # Stopping

    def _stop_all(self):
        """The nodes, then the SuperLink; a second Ctrl-C must not leave any of them behind."""
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._end([name for name in self.processes if name != "superlink"], signal.SIGTERM)
            self._end(["superlink"], signal.SIGTERM)
            for pid in self._left_over():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        finally:
            signal.signal(signal.SIGINT, heard)

    def _end(self, names, first):
        """Signal processes and what they started; whoever is still there after 10 s is killed."""
        going = [self.processes.pop(name) for name in names if name in self.processes]
        for how in (first, signal.SIGKILL):
            for process in going:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
            for process in going:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)

    def _left_over(self):
        """Processes of this federation that still run: those that were told of its folder."""
        mark = f"FLWR_HOME={self.folder}".encode()
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in entry.read_bytes().split(b"\0"):
                    yield int(entry.parent.name)


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _key_pair(folder, name):
    """A node's private key in a file, and the path of its public key."""
    key = ec.generate_private_key(ec.SECP384R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    _write(folder / name, secret)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return _write(folder / f"{name}.pub", public)


def _certificates(folder):
    """An authority, and the server's certificate and key that it signed: three paths."""
    now = datetime.datetime.now(datetime.UTC)
    authority_key, server_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "for an hour")])
    local = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]

    def signed(subject, key, *extensions):
        builder = (
            x509.CertificateBuilder(issuer_name=authority, subject_name=subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        made = builder.sign(authority_key, hashes.SHA384())
        return made.public_bytes(serialization.Encoding.PEM)

    server = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    whose = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    root = signed(
        authority,
        authority_key,
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (whose, False),
        (x509.KeyUsage(*[False] * 5, True, True, False, False), True),
    )
    leaf = signed(
        server,
        server_key,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName(local), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(whose), False),
    )
    secret = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (
        _write(folder / "authority.pem", root),
        _write(folder / "server.pem", leaf),
        _write(folder / "server.key", secret),
    )


def _write(path, content):
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
