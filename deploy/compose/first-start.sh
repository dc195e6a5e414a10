#!/bin/sh
# Run once by PostgreSQL's image, when its folder is new: makes the roles and the databases.
set -eu
psql -X --username postgres --file /etc/everleaf/postgresql/roles.sql
