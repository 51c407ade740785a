"""truebeat: a control plane for fleets of AI agents whose heartbeats can't lie.

The package map is in ARCHITECTURE.md. This file holds the SDK's public names only and imports nothing,
because the supervisor (goal: 25 MB of memory) imports it too.
"""

__version__ = "0.1.0"
