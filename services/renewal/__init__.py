"""Decides when and how a new certificate is obtained; owns authorities, profiles, enrolments, orders and keys."""
