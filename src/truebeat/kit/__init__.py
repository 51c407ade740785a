"""The kit: the demo's agent, and what the docs are generated with."""
