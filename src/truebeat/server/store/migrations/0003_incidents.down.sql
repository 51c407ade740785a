DROP TABLE incident_reports;
DROP TABLE incidents;
