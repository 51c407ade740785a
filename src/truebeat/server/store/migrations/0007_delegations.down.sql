DROP TABLE notifications;
DROP TABLE wakes;
DROP TABLE delegations;
