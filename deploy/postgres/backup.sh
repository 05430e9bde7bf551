#!/usr/bin/env bash
# Base backups and restoring, with Postgres' own tools.
#
#   backup.sh once               one base backup into BACKUP_DIR/base, then what is older than BACKUP_KEEP_DAYS is removed
#   backup.sh daily              the same now and every 24 hours
#   backup.sh restore latest     fills PGDATA from the newest base backup and the archive, up to the archive's end
#   backup.sh restore TIME       … up to TIME, such as "2026-11-26 17:30:00+00"
#   backup.sh verify             restores the newest into a temporary folder, starts it and counts its orders
#
# BACKUP_DIR (/backup): base/ and wal/ (deploy/postgres/archive-wal fills it). Connection: PGHOST, PGUSER, PGPORT;
# PGPASS_SECRET names a file in the form of ~/.pgpass that may be readable by others.
set -euo pipefail
umask 077
: "${BACKUP_DIR:=/backup}" "${BACKUP_KEEP_DAYS:=7}"

say() { echo "backup: $*" >&2; }

once() {
    if [ -n "${PGPASS_SECRET:-}" ]; then
        cp "$PGPASS_SECRET" /tmp/pgpass.$$
        chmod 600 /tmp/pgpass.$$ # libpq takes no file that others may read.
        export PGPASSFILE=/tmp/pgpass.$$
    fi
    mkdir -p "$BACKUP_DIR/base"
    local name began=$SECONDS
    name=$(date -u +%Y%m%dT%H%M%SZ)
    pg_basebackup -D "$BACKUP_DIR/base/.$name" -X none -c fast --manifest-checksums=SHA256
    mv "$BACKUP_DIR/base/.$name" "$BACKUP_DIR/base/$name"
    rm -f "${PGPASSFILE:-/nonexistent}"
    say "base/$name: $(du -sh "$BACKUP_DIR/base/$name" | cut -f1) in $((SECONDS - began)) s"
    prune
}

prune() {
    find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 -name '.2*' -mmin +1440 -exec rm -rf {} +
    local kept
    # The newest is kept whatever its age.
    find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 -name '2*' -mtime "+$BACKUP_KEEP_DAYS" | sort |
        { grep -vxF "$BACKUP_DIR/base/$(newest)" || true; } | while read -r old; do rm -rf "$old"; done
    kept=$(find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | head -1)
    # START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
    pg_archivecleanup "$BACKUP_DIR/wal" "$(sed -n 's/.*START WAL.*file \([0-9A-F]*\).*/\1/p' "$kept/backup_label")"
}

newest() { # [before, as in a base backup's name]
    find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 -name '2*' -printf '%f\n' | sort | awk -v t="${1:-9}" '$0 <= t' | tail -1
}

restore() {
    local target=$1 base
    [ -n "${PGDATA:-}" ] || { say "PGDATA is not set"; exit 2; }
    if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
        say "$PGDATA is not empty: move it away first, nothing is overwritten"
        exit 2
    fi
    if [ "$target" = latest ]; then base=$(newest); else base=$(newest "$(date -u -d "$target" +%Y%m%dT%H%M%SZ)"); fi
    [ -n "$base" ] || { say "there is no base backup before $target"; exit 2; }
    mkdir -p "$PGDATA"
    cp -a "$BACKUP_DIR/base/$base/." "$PGDATA/"
    chmod 700 "$PGDATA"
    # A server that was restored to a moment has that moment in its backups too.
    sed -i '/^\(restore_command\|recovery_target\)/d' "$PGDATA/postgresql.auto.conf"
    {
        echo "restore_command = 'cp \"$BACKUP_DIR/wal/%f\" \"%p\"'"
        echo "recovery_target_action = promote"
        [ "$target" = latest ] || echo "recovery_target_time = '$target'"
    } >> "$PGDATA/postgresql.auto.conf"
    touch "$PGDATA/recovery.signal"
    say "base/$base is in $PGDATA; Postgres replays the archive when it starts"
}

verify() {
    local began=$SECONDS
    folder=$(mktemp -d) # Not local: the trap needs it.
    trap 'pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
    PGDATA=$folder/data restore latest
    # Without what the server of origin was given on its command line or in another configuration folder.
    [ -e "$folder/data/postgresql.conf" ] || touch "$folder/data/postgresql.conf"
    printf 'local all all trust\n' > "$folder/hba"
    printf '\n' > "$folder/ident"
    pg_ctl -D "$folder/data" -w -t 600 -l "$folder/log" -o "-p 5432 -c listen_addresses='' -c unix_socket_directories='$folder' \
        -c hba_file='$folder/hba' -c ident_file='$folder/ident' -c archive_mode=off" start >/dev/null || { cat "$folder/log" >&2; exit 1; }
    until [ "$(ask "$folder" 'SELECT pg_is_in_recovery()')" = f ]; do
        pg_ctl -D "$folder/data" status >/dev/null || { cat "$folder/log" >&2; exit 1; }
        sleep 0.2
    done
    say "restored: $(ask "$folder" 'SELECT count(*) FROM orders_order') orders, the newest of" \
        "$(ask "$folder" 'SELECT max(created_at) FROM orders_order'), in $((SECONDS - began)) s"
}

ask() { env -u PGPASSFILE PGPORT=5432 PGHOST="$1" PGUSER="${SUPERUSER:-postgres}" psql -XAtq -d orderengine -c "$2"; }

case ${1:-} in
    once) once ;;
    daily) while true; do once; sleep 86400 & wait $!; done ;;
    restore) restore "${2:?restore latest, or restore TIME}" ;;
    verify) verify ;;
    *) sed -n '2,12p' "$0" >&2; exit 2 ;;
esac
