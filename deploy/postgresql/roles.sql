-- Five databases, and two roles for each: `everleaf_SERVICE_migrate` owns the tables and changes them,
-- `everleaf_SERVICE` reads and writes rows and can change nothing else. Neither sees another service's database.
-- Run by an administrator of the server, again at will; passwords are read from files:
--
--   EVERLEAF_PASSWORDS=/etc/everleaf/secrets psql -X -f roles.sql "host=db.internal user=postgres sslmode=verify-full"
\set ON_ERROR_STOP on
\set service inventory
\ir one-service.sql
\set service discovery
\ir one-service.sql
\set service renewal
\ir one-service.sql
\set service provisioner
\ir one-service.sql
\set service notifier
\ir one-service.sql
