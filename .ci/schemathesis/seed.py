"""Creates the test data of a new host: seed.py URL TOKEN COMPONENT."""

import json
import sys
import urllib.request

url, token, component = sys.argv[1:4]


def send(method, path, body, kind="application/json"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind, "Prefer": "wait=30"}
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=300) as answer:
        return answer.status


with open(component, "rb") as file:
    send("PUT", "/v1/modules/hello/versions/0.1.0", file.read(), "application/wasm")
manifest = {
    "module": "hello@0.1.0",
    "schedules": [{"name": "daily", "cron": "0 9 * * *"}],
    "subscriptions": [{"name": "placed", "topic": "orders.placed"}],
}
for name in ["hello", "a", "0"]:
    send("PUT", f"/v1/deployments/{name}", manifest)
    send("POST", f"/v1/deployments/{name}/runs", {"name": "Ada"})
send("POST", "/v1/topics/orders.placed/events", {"order": 7})
