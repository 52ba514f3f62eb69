"""Patches Debian's Prometheus programs so that they run from the folder they were unpacked into.

Debian's builds read templates and pages from `/usr/share/prometheus/`, a path compiled into the
program that no option changes; Alertmanager does not start without it. The patched copy instead
reads a path relative to the working directory, which its wrapper script sets.
"""

import shlex
from pathlib import Path

FIXED = b"/usr/share/prometheus/"
# Must be as long as FIXED, because nothing else in the program may move.
RELATIVE = b"usr/share/prometheus//"


def relocate(root: Path) -> None:
    """Relocate the programs below `root`/usr/bin that need it; a second call changes nothing."""
    for program in sorted((root / "usr" / "bin").glob("*")):
        if program.is_symlink() or not program.is_file():
            continue
        content = program.read_bytes()
        if FIXED not in content:
            continue
        relocated = root / "usr" / "libexec" / program.name
        relocated.parent.mkdir(parents=True, exist_ok=True)
        relocated.write_bytes(content.replace(FIXED, RELATIVE))
        relocated.chmod(0o755)
        # Replaced atomically by a new file, because the old one may be running.
        wrapper = program.with_name(f".{program.name}.new")
        wrapper.write_text(_wrapper(root, relocated))
        wrapper.chmod(0o755)
        wrapper.replace(program)


def _wrapper(root: Path, program: Path) -> str:
    return (
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(root.resolve()))} || exit 1\n"
        f'exec {shlex.quote(str(program.resolve()))} "$@"\n'
    )
