"""Writes the OpenAPI document of the host for schemathesis: document.py URL TOKEN > FILE.

Omits what a document cannot describe, so that everything else must be exact: parameters whose values
the host issues, that depend on each other or on earlier requests, or that make an answer last.
"""

import json
import sys
import urllib.request

LEFT_OUT = {
    "cursor",  # a list issues it
    "parent",  # excludes every other filter of a list
    "label",  # each label has another name
    "If-Match",  # a deployment issues it
    "If-None-Match",  # excludes If-Match
    "Idempotency-Key",  # with another request the answer is 422
    "Last-Event-ID",  # applies only to a followed answer
    "follow",  # its answer does not end
    "Prefer",  # may delay the answer by minutes
}

url, token = sys.argv[1:3]
request = urllib.request.Request(url + "/openapi.json", headers={"Authorization": f"Bearer {token}"})
with urllib.request.urlopen(request, timeout=30) as answer:
    document = json.load(answer)
# The answer does not end.
del document["paths"]["/v1/events"]
for item in document["paths"].values():
    for operation in item.values():
        parameters = operation.get("parameters", [])
        operation["parameters"] = [one for one in parameters if one["name"] not in LEFT_OUT]
json.dump(document, sys.stdout)
