#!/usr/bin/env bash
# Sees to it that the end-to-end specs find PgBouncer. They start one of their own: this
# installs the program and starts no service.
set -euo pipefail

readonly name=pgbouncer otherwise='install PgBouncer by hand'
# shellcheck source=scripts/install.sh
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"

# Looks where the specs do (test/e2e/kinds_test.go).
find_pgbouncer() { command -v pgbouncer >/dev/null || [[ -x /usr/sbin/pgbouncer ]]; }

if find_pgbouncer; then exit 0; fi
choose_manager 'not found'
say "installing it with $manager"
case $manager in
  apt-get)
    apt_get update
    apt_install pgbouncer
    ;;
  dnf) as_root dnf -y -q install pgbouncer ;;
  apk) as_root apk add --quiet pgbouncer ;;
  pacman) as_root pacman -Sy --noconfirm --needed pgbouncer ;;
  brew) quietly brew install --quiet pgbouncer ;;
esac
if ! find_pgbouncer; then give_up "installed, but pgbouncer is not in PATH"; fi
