"""The metric catalogue, the alert rules and the dashboards, against one another."""
