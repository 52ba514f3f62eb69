#!/usr/bin/env python3
"""Makes the virtual environment: `bootstrap.py VENV REQUIREMENTS...`. Standard library only.

Called by the Makefile and by the container build. It can be run again at any time: it does
nothing when nothing changed, and makes an environment that was left half made from new.
It must start on any Python 3, because its first job is to say that a Python is too old.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from typing import NoReturn

NEEDED = (3, 11)


def fail(sentence: str) -> NoReturn:
    sys.exit("make: " + sentence)


def check_python() -> None:
    version = "{}.{}".format(*sys.version_info[:2])
    if sys.version_info < NEEDED:
        fail(
            f"Python {NEEDED[0]}.{NEEDED[1]} or newer is needed, and {sys.executable} is {version}."
            " Install one and name it: make run PYTHON=python3.12"
        )
    for module in ("venv", "ensurepip"):
        if not importable(module):
            fail(
                f"this Python has no module {module}, without which no environment can be made."
                f" On Debian and Ubuntu: apt install python3-venv (or python{version}-venv)."
            )


def importable(module: str) -> bool:
    command = [sys.executable, "-c", "import " + module]
    return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def python_of(venv: str) -> str:
    return os.path.join(venv, "bin", "python")


def works(venv: str) -> bool:
    """True when the environment's Python runs, is this version, and has a pip that runs."""
    code = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    try:
        return subprocess.call([python_of(venv), "-c", code], stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def make(venv: str) -> None:
    if works(venv):
        return
    if os.path.islink(venv):
        fail(f"{venv} is a link to an environment that does not work here. Remove the link.")
    if os.path.exists(venv):
        print(f"Environment: {venv} is incomplete or of another Python; making it anew")
        shutil.rmtree(venv)
    print(f"Environment: making {venv} with Python {sys.version.split()[0]}", flush=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", venv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if made.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        said = made.stdout.strip().splitlines() or ["no reason given"]
        fail(f"the environment could not be made: {said[-1]}")


def digest(paths: list[str]) -> str:
    together = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            together.update(file.read())
    return together.hexdigest()


def is_installed(stamp: str, wanted: str) -> bool:
    try:
        with open(stamp) as file:
            return file.read() == wanted
    except OSError:
        return False


def install(venv: str, requirements: list[str]) -> None:
    """Install exactly what the files name, by hash; pip's own configuration is honoured."""
    names = [os.path.basename(path) for path in requirements]
    stamp = os.path.join(venv, ".installed-" + "-".join(names))
    wanted = digest(requirements)
    if is_installed(stamp, wanted):
        return
    print(
        f"Packages: installing {', '.join(names)}; the first time takes a minute or two", flush=True
    )
    started = time.monotonic()
    command = [python_of(venv), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--no-warn-script-location"]
    for path in requirements:
        command += ["-r", path]
    if run_with_signs_of_life(command, started):
        fail(
            "pip could not install the packages (its words are above). Check the network; behind a proxy"
            " or with a package mirror set HTTPS_PROXY or PIP_INDEX_URL. Then run the same command again."
        )
    with open(stamp, "w") as file:
        file.write(wanted)
    print(f"Packages: installed in {time.monotonic() - started:.0f} s", flush=True)


def run_with_signs_of_life(command: list[str], started: float) -> int:
    """Run quietly, with a line every 15 seconds so that nobody takes it for dead."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while True:
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            print(f"Packages: still at it after {time.monotonic() - started:.0f} s", flush=True)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            fail("interrupted; run the same command again to go on.")


def main() -> None:
    if len(sys.argv) < 3:
        fail("usage: bootstrap.py VENV REQUIREMENTS...")
    check_python()
    make(sys.argv[1])
    install(sys.argv[1], sys.argv[2:])


if __name__ == "__main__":
    main()
