"""ServiceNow: events for its Event Management, incidents, change requests, and the certificates they are about."""

from services.notifier.connectors.servicenow.event import ServiceNowEvent
from services.notifier.connectors.servicenow.ticket import ServiceNowChange, ServiceNowIncident

__all__ = ["ServiceNowChange", "ServiceNowEvent", "ServiceNowIncident"]
