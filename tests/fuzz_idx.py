"""Coverage-guided fuzzing of the IDX reader: whatever the bytes, one clear line or right arrays.

    pip install atheris
    python tests/fuzz_idx.py -max_total_time=60

The first byte chooses what the rest is: an IDX file of images or labels, plain or gzipped, or the
mapping file. Options are libFuzzer's.
"""

import gzip
import struct
import sys

try:
    import atheris
except ImportError:
    print("skipped: atheris is not installed (pip install atheris)")
    sys.exit()

with atheris.instrument_imports(include=["emnist_jax.data.idx", "emnist_jax.data.emnist"]):
    from emnist_jax.data import emnist, idx
from emnist_jax.errors import InputError


def check(fuzzed: bytes) -> None:
    if not fuzzed:
        return
    kind, raw = fuzzed[0], fuzzed[1:]
    try:
        if kind % 5 == 4:
            codes = emnist.parse_mapping(raw, "x")
            assert codes and list(codes) == sorted(codes)
            return
        ndim = 3 if kind % 2 else 1
        stored = gzip.compress(raw, 1, mtime=0) if kind % 5 >= 2 else raw
        array = idx.decode(stored, "x", ndim)
    except InputError as error:
        assert "\n" not in str(error), error
        return
    # Writing what was read gives the very bytes: nothing else may be accepted.
    plain = gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    assert array.size and array.ndim == ndim and header + array.tobytes() == plain


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
