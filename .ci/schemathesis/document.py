"""Writes the host's OpenAPI document as schemathesis is to take it: document.py URL TOKEN > FILE.

What no document can say is left out, so that everything else is held to be exact: parameters whose values are given out by the
host, that depend on each other or on what was sent before, or that make an answer last.
"""

import json
import sys
import urllib.request

LEFT_OUT = {
    "cursor",  # is what a list gave out
    "parent",  # excludes every other filter of a list
    "label",  # each with another name
    "If-Match",  # is what a deployment gave out
    "If-None-Match",  # excludes If-Match
    "Idempotency-Key",  # with another request it is 422
    "Last-Event-ID",  # is read only if the answer is followed
    "follow",  # its answer has no end of its own
    "Prefer",  # waits for minutes, as asked
}

url, token = sys.argv[1:3]
request = urllib.request.Request(url + "/openapi.json", headers={"Authorization": f"Bearer {token}"})
with urllib.request.urlopen(request, timeout=30) as answer:
    document = json.load(answer)
# Its answer has no end.
del document["paths"]["/v1/events"]
for item in document["paths"].values():
    for operation in item.values():
        parameters = operation.get("parameters", [])
        operation["parameters"] = [one for one in parameters if one["name"] not in LEFT_OUT]
json.dump(document, sys.stdout)
