-- The roles of the engine's database, each with what it needs. psql, as a superuser, on the database `orderengine`.
--
--   psql -v secrets=/etc/orderengine/secrets -d orderengine -f roles.sql
--
-- `secrets` is the folder that deploy/make_secrets.py filled (/run/secrets in a container). May be run again: passwords are
-- then set to those of the folder.
\set ON_ERROR_STOP on
\if :{?secrets} \else \set secrets /run/secrets \endif
\set owner `cat :secrets/postgres_owner_password`
\set runtime `cat :secrets/postgres_runtime_password`
\set monitor `cat :secrets/postgres_monitor_password`
\set backup `cat :secrets/postgres_backup_password`
-- No statement with a password is logged.
SET log_statement = 'none';
SET log_min_duration_statement = -1;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['orderengine_owner', 'orderengine', 'orderengine_monitor', 'orderengine_backup']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE orderengine_owner PASSWORD :'owner';
ALTER ROLE orderengine PASSWORD :'runtime' NOSUPERUSER NOCREATEDB NOCREATEROLE;
ALTER ROLE orderengine_monitor PASSWORD :'monitor';
ALTER ROLE orderengine_backup REPLICATION PASSWORD :'backup';

-- Migrations run as the owner; it owns what there is and what will be made.
SELECT format('ALTER DATABASE %I OWNER TO orderengine_owner', current_database())
\gexec
ALTER SCHEMA public OWNER TO orderengine_owner;
SELECT format('ALTER TABLE %I.%I OWNER TO orderengine_owner', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'
\gexec

-- The engine reads and writes rows; it makes, alters and drops nothing.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO orderengine, orderengine_monitor', current_database())
\gexec
GRANT USAGE ON SCHEMA public TO orderengine;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orderengine;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO orderengine;
ALTER DEFAULT PRIVILEGES FOR ROLE orderengine_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO orderengine;
ALTER DEFAULT PRIVILEGES FOR ROLE orderengine_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO orderengine;

GRANT pg_monitor TO orderengine_monitor;
