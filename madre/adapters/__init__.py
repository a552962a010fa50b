"""The drivers: what really starts and stops services."""
