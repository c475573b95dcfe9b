"""Messages about an artifact that cannot be written or loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import netspec
from netspec.errors import DataError
from netspec.files.reading import reason_of
from netspec.language.diagnostics import SpecError

AGAIN = "compile it again from the spec, with netspec compile SPEC -o PATH"


@contextmanager
def naming(verb: str, path: str | Path) -> Iterator[None]:
    """Convert the errors of a block to a DataError that begins ``cannot VERB PATH``."""
    try:
        yield
    except SpecError as error:
        raise DataError(
            f"cannot {verb} {path}: its spec, read again with its settings, has errors in netspec "
            f"{netspec.__version__}: {AGAIN}\n{error}"
        ) from None
    except DataError as error:
        raise DataError(f"cannot {verb} {path}: {error}") from None
    except EOFError:
        raise DataError(f"cannot {verb} {path}: it became shorter while it was read") from None
    except OSError as error:
        raise DataError(f"cannot {verb} {path}: {reason_of(error)}") from None
