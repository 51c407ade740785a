DROP TABLE leases;
DROP TABLE events_pruned;
DROP TABLE events;
DROP TABLE tokens;
DROP TABLE workspaces;
