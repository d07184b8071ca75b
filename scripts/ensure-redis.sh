#!/usr/bin/env bash
# Sees to it that the specs find a Redis or a Valkey. They start one of their own: this
# installs the program and starts no service.
set -euo pipefail

readonly name=redis otherwise='install Redis or Valkey by hand'
# shellcheck source=scripts/install.sh
source "$(dirname "${BASH_SOURCE[0]}")/install.sh"

# Looks where the specs do (internal/platform/testkit/rediskit).
find_redis() { command -v redis-server >/dev/null || command -v valkey-server >/dev/null; }

if find_redis; then exit 0; fi
choose_manager 'not found'
say "installing it with $manager"
case $manager in
  apt-get)
    apt_get update
    apt_install redis-server
    ;;
  dnf) as_root dnf -y -q install valkey ;;
  apk) as_root apk add --quiet valkey ;;
  pacman) as_root pacman -Sy --noconfirm --needed valkey ;;
  brew) quietly brew install --quiet valkey ;;
esac
if ! find_redis; then give_up "installed, but neither redis-server nor valkey-server is in PATH"; fi
