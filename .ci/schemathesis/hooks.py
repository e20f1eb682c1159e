"""What schemathesis cannot know of the API from its document, and what would only cost time."""

import schemathesis


@schemathesis.hook
def map_query(context, query):
    if query:
        # A cursor is what a list gave out, and cannot be made up.
        query.pop("cursor", None)
        # A followed log has no end of its own.
        query.pop("follow", None)
    return query


@schemathesis.hook
def map_headers(context, headers):
    if headers:
        # It would wait for minutes, as asked.
        headers.pop("Prefer", None)
    return headers
