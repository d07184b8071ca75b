#!/usr/bin/env bash
# Sees to it that the specs find a Redis or a Valkey. They start one of their own: this
# installs the program and starts no service.
set -euo pipefail

say() { printf 'redis: %s\n' "$*"; }

# Looks where the specs do (internal/platform/testkit/rediskit).
find_redis() { command -v redis-server >/dev/null || command -v valkey-server >/dev/null; }

as_root() { if [[ $EUID -ne 0 ]]; then sudo "$@"; else "$@"; fi; }

if find_redis; then exit 0; fi
say "installing it"
log=$(mktemp) && trap 'rm -f "$log"' EXIT
for manager in apt-get dnf apk brew; do
  command -v "$manager" >/dev/null || continue
  case $manager in
    apt-get)
      # Debian starts a service with the package unless this says no.
      install=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -q -o DPkg::Lock::Timeout=120 install --no-install-recommends redis-server)
      as_root apt-get -q -o DPkg::Lock::Timeout=120 update >>"$log" 2>&1 || true
      as_root "${install[@]}" >>"$log" 2>&1 || true
      ;;
    dnf) as_root dnf -y -q install valkey >>"$log" 2>&1 || true ;;
    apk) as_root apk add --quiet valkey >>"$log" 2>&1 || true ;;
    brew) brew install --quiet valkey >>"$log" 2>&1 || true ;;
  esac
  break
done
if ! find_redis; then
  tail -n 5 "$log" >&2
  say "install Redis or Valkey by hand" >&2
  exit 1
fi
