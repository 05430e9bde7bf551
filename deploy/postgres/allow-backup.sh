#!/bin/sh
# Run once by the image at its first start: lets the backup's role connect for replication, with its password.
set -eu
echo "host replication orderengine_backup all scram-sha-256" >> "$PGDATA/pg_hba.conf"
