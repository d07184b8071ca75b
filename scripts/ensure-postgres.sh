#!/usr/bin/env bash
# Sees to it that PostgreSQL's server programs are on this machine. FusionCommerce
# starts a private server from them by itself, so this installs programs only: it
# creates no cluster and starts no service.
set -euo pipefail

readonly name=postgres otherwise='install the PostgreSQL server, or set FUSION_POSTGRES_BIN to the folder that holds initdb and postgres'
# shellcheck source=scripts/install.sh
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"

# Looks where the program itself does (internal/platform/pgcluster).
find_postgres() {
  local dir
  if [[ -n ${FUSION_POSTGRES_BIN:-} ]]; then
    both_in "$FUSION_POSTGRES_BIN" || give_up "FUSION_POSTGRES_BIN is $FUSION_POSTGRES_BIN, which does not hold both initdb and postgres"
    return 0
  fi
  for dir in /usr/lib/postgresql/*/bin /usr/libexec/postgresql* /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin /usr/local/pgsql/bin /usr/bin; do
    if both_in "$dir"; then return 0; fi
  done
  dir=$(command -v initdb) && both_in "$(dirname "$dir")"
}

both_in() { [[ -x $1/initdb && -x $1/postgres ]]; }

with_apt() {
  apt_get update
  # Debian creates and starts a cluster with the server package unless this says no.
  apt_install postgresql-common
  as_root sed -i 's/^[#[:space:]]*create_main_cluster[[:space:]]*=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  apt_install postgresql
}

main() {
  if find_postgres; then return; fi

  choose_manager 'not found'
  say "not found, installing it with $manager"
  case $manager in
    apt-get) with_apt ;;
    dnf) as_root dnf -y -q install postgresql-server ;;
    apk) as_root apk add --quiet postgresql ;;
    pacman) as_root pacman -Sy --noconfirm --needed postgresql ;;
    brew) quietly brew install --quiet postgresql@17 ;;
  esac

  if ! find_postgres; then give_up "installed, but initdb and postgres are in none of the usual places"; fi
  say "installed"
}

main
