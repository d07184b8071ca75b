#!/usr/bin/env bash
# Sees to it that the end-to-end specs find PgBouncer. They start one of their own: this
# installs the program and starts no service.
set -euo pipefail

say() { printf 'pgbouncer: %s\n' "$*"; }

# Looks where the specs do (test/e2e/kinds_test.go).
find_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }

as_root() { if [[ $EUID -ne 0 ]]; then sudo "$@"; else "$@"; fi; }

if find_pgbouncer; then exit 0; fi
say "installing it"
log=$(mktemp) && trap 'rm -f "$log"' EXIT
for manager in apt-get dnf apk brew; do
  command -v "$manager" >/dev/null || continue
  case $manager in
    apt-get)
      # Debian starts a service with the package unless this says no.
      install=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -q -o DPkg::Lock::Timeout=120 install --no-install-recommends pgbouncer)
      as_root apt-get -q -o DPkg::Lock::Timeout=120 update >>"$log" 2>&1 || true
      as_root "${install[@]}" >>"$log" 2>&1 || true
      ;;
    dnf) as_root dnf -y -q install pgbouncer >>"$log" 2>&1 || true ;;
    apk) as_root apk add --quiet pgbouncer >>"$log" 2>&1 || true ;;
    brew) brew install --quiet pgbouncer >>"$log" 2>&1 || true ;;
  esac
  break
done
if ! find_pgbouncer; then
  tail -n 5 "$log" >&2
  say "install PgBouncer by hand" >&2
  exit 1
fi
