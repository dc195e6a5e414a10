"""Jira, as a cloud and in one's own data centre: one issue for each alert, told of each turn once."""

from services.notifier.connectors.jira.issues import Jira

__all__ = ["Jira"]
