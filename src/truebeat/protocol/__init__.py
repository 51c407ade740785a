"""The contract both faces import: every message has one typed definition, here.

paths.py      HTTP paths
resources.py  what HTTP requests and answers carry
link.py       frames of the link between a workspace's supervisor and the server
pipe.py       frames of the pipe between a supervisor and its worker
events.py     the event log's entries
"""
