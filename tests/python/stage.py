"""What the stories of both clients share: where the server is, patience, and the faults of a client.

A client is never changed. What it cannot do through a fault of its own is called all the same, and its exact failure
is asserted, so that a story fails when a client, or our answer to it, has changed.
"""

import contextlib
import datetime
import os
import time

# How long something that must happen may take, in seconds.
PATIENCE = 60

URL = os.environ["SEALIFT_URL"]
CA_FILE = os.environ["SEALIFT_CA_FILE"]
USERNAME = os.environ["SEALIFT_USERNAME"]
PASSWORD = os.environ["SEALIFT_PASSWORD"]
MACHINE = os.environ["SEALIFT_MACHINE"]
# A directory on that machine in which stores may lie.
STORES = os.environ["SEALIFT_STORES"]
STORE_PASSWORD = os.environ["SEALIFT_STORE_PASSWORD"]

# Another server, which sends the enumerations of store types as numbers (`numeric_store_types`).
NUMERIC_URL = os.environ["SEALIFT_NUMERIC_URL"]
NUMERIC_CA_FILE = os.environ["SEALIFT_NUMERIC_CA_FILE"]
NUMERIC_PASSWORD = os.environ["SEALIFT_NUMERIC_PASSWORD"]

# The store type PKCS12.
PKCS12 = 102

NOW = datetime.datetime(2026, 5, 4, 9, 30, tzinfo=datetime.timezone.utc)


def step(text):
    """Says what has been done."""
    print(text, flush=True)


def eventually(what, look):
    """Looks until there is something to see, and answers it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {PATIENCE} s")
        time.sleep(0.1)


@contextlib.contextmanager
def fault_of_the_client(kind, text):
    """The calls inside fail in the client, with this exception and with this in its text."""
    try:
        yield
    except kind as failure:
        assert text in str(failure), f"another {kind.__name__} than {text!r}: {failure}"
        step(f"  the client's own fault, as expected: {kind.__name__}: {failure}")
    else:
        raise SystemExit(f"the client no longer fails with {kind.__name__} {text!r}: drop it from the story and README")
