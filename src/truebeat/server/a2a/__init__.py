"""Every workspace as an A2A endpoint: JSON-RPC and REST of the 1.0 protocol, and the 0.3 dialect of older clients.

endpoint.py      the ASGI app below /workspaces/{id}/a2a: who asks, bounds, cards. Imports no a2a-sdk.
cards.py         the agent card, as 1.0 and with the fields of 0.3. Imports no a2a-sdk.
wire.py          bodies, content types and error bodies, for what is refused before the SDK sees it
direct.py        the most frequent call without the SDK: a plain SendMessage and its plain answer
connection.py    ends a request in work when its client goes away
legacy.py        completes the bare shapes of 0.3 clients
caller.py        who asks, of which workspace; goes with each request
loaded.py        the SDK's dispatchers over our handler; imported with the first request: it takes a second
handler.py       the SDK's RequestHandler over services/mailbox.Mailbox
requests.py      an A2A message -> a new task
views.py         a task and its updates -> A2A objects
availability.py  the availability extension: the facts, as metadata and as an error's details
faults.py        our errors -> A2A errors
push.py          push notifications: off, unless hosts are allowed; push_target.py decides where they may go
"""
