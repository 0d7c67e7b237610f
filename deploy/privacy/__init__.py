"""What the platform keeps about people, column by column, for docs/privacy.md and the test that holds it."""
