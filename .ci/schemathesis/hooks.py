"""What schemathesis does not know of by itself."""

import schemathesis


@schemathesis.serializer("application/wasm")
def wasm(context, value):
    """A component is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
