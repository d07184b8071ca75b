#!/usr/bin/env bash
# Sees to it that PostgreSQL's server programs are on this machine. FusionCommerce
# starts a private server from them by itself, so this installs programs only: it
# creates no cluster and starts no service.
set -euo pipefail

say() { printf 'postgres: %s\n' "$*"; }

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

give_up() {
  say "$1" >&2
  say "install the PostgreSQL server, or set FUSION_POSTGRES_BIN to the folder that holds initdb and postgres" >&2
  exit 1
}

log=
# Runs a command as root, its output kept for the case that it fails.
as_root() {
  local prefix=()
  if [[ $EUID -ne 0 ]]; then prefix=(sudo); fi
  quietly ${prefix[@]+"${prefix[@]}"} "$@"
}

quietly() {
  if ! "$@" </dev/null >>"$log" 2>&1; then
    tail -n 5 "$log" | sed 's/^/postgres:   /'
    give_up "this failed: $*"
  fi
}

with_apt() {
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold)
  as_root "${apt[@]}" update
  # Debian creates and starts a cluster with the server package unless this says no.
  as_root "${apt[@]}" install --no-install-recommends postgresql-common
  as_root sed -i 's/^[#[:space:]]*create_main_cluster[[:space:]]*=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  as_root "${apt[@]}" install --no-install-recommends postgresql
}

main() {
  if find_postgres; then return; fi

  local manager='' candidate
  for candidate in apt-get dnf apk pacman brew; do
    if command -v "$candidate" >/dev/null; then
      manager=$candidate
      break
    fi
  done
  if [[ -z $manager ]]; then give_up "not found, and no package manager that this script knows"; fi
  if [[ $manager != brew && $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
    give_up "not found, and installing it takes root or sudo"
  fi

  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
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
