-- Included by roles.sql, with `service` set.
-- The server's log must not hold what is set here.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
SELECT 'everleaf_' || :'service' AS run, 'everleaf_' || :'service' || '_migrate' AS owner \gset
\set run_password `cat "$EVERLEAF_PASSWORDS"/db-:service`
\set owner_password `cat "$EVERLEAF_PASSWORDS"/db-:service-migrate`

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'run', :'owner']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"run" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD :'run_password';
ALTER ROLE :"owner" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD :'owner_password';

-- `C`: texts are ordered by their bytes, so that no change of the operating system's rules breaks an index.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L', :'run', :'owner', 'UTF8', 'C.UTF-8', 'C.UTF-8')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'run') \gexec
REVOKE ALL ON DATABASE :"run" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"run" TO :"run";

\connect :"run"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";
GRANT USAGE ON SCHEMA public TO :"run";
-- What is there already, and what migrations will make.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"run";
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO :"run";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"run";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO :"run";
