"""What watches the platform: metrics as a page, alert rules, dashboards, and a Prometheus to try them with."""
