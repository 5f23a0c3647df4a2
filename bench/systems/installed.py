"""The peers' own environments under ``var/peers``, made once, from pinned requirements.

Whoever cannot be installed, because there is no network or no Node, is not measured: ``Missing`` says why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from queueproject.stack.commands import PROJECT

HOME = PROJECT / "var" / "peers"
REQUIREMENTS = Path(__file__).parent / "requirements"
INSTALL_SECONDS = 300


class Missing(Exception):
    """Why a peer is not measured."""


def python_of(peer: str) -> str:
    """The Python in which this peer is installed."""
    home = HOME / peer
    wanted = REQUIREMENTS / f"{peer}.txt"
    if not _is_there(home, wanted):
        _run(sys.executable, "-m", "venv", "--clear", str(home))
        python = str(home / "bin" / "python")
        _run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "-r", str(wanted))
        _note(home, wanted)
    return str(home / "bin" / "python")


def node_modules_of(peer: str) -> Path:
    """The directory in which Node finds this peer."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise Missing("there is no node and npm on PATH (Debian: apt install nodejs npm)")
    home = HOME / peer
    wanted = REQUIREMENTS / peer / "package-lock.json"
    if not _is_there(home, wanted):
        home.mkdir(parents=True, exist_ok=True)
        for file in wanted.parent.iterdir():
            shutil.copy(file, home)
        _run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home))
        _note(home, wanted)
    return home


def _is_there(home: Path, wanted: Path) -> bool:
    installed = home / "installed"
    return installed.exists() and installed.read_bytes() == wanted.read_bytes()


def _note(home: Path, wanted: Path) -> None:
    shutil.copy(wanted, home / "installed")


def _run(*command: str) -> None:
    sys.stdout.write(f"once: {' '.join(command[:5])} …\n")
    sys.stdout.flush()
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS, text=True)
    except subprocess.CalledProcessError as error:
        raise Missing(f"it could not be installed: {error.stderr.strip()[-200:]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"it could not be installed: {error}") from None
