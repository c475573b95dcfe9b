"""Reading a file of weights in a process with little memory."""

from __future__ import annotations

from pathlib import Path

from tests.forked import forked

PROGRAM = """
import resource, sys
from importlib import import_module
from pathlib import Path

import netspec
for library in ("h5py", "scipy.io", "google.protobuf.message_factory"):
    import_module(library)
read = import_module(f"netspec.pretrained.formats.{sys.argv[1]}").read
present = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (present + int(sys.argv[3]),) * 2)
try:
    print("read", [layer.name for layer in read(Path(sys.argv[2])).layers])
except netspec.DataError as error:
    print("refused", error)
"""


def within(path: Path, format: str, memory: int = 2**28) -> str:
    """Return ``refused`` and the message, or ``read`` and the names of the layers.

    Args:
        path: of the file.
        format: the name of the module that reads it.
        memory: bytes that the process may have more than before it reads.
    """
    done = forked("torch").python("-c", PROGRAM, format, path, memory)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.rstrip("\n")
