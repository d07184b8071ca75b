# For the scripts that see to it that a program is on this machine, which source this. They
# say in $name what it is, and in $otherwise what somebody can do by hand.
# shellcheck shell=bash disable=SC2154

log=$(mktemp)
trap 'rm -rf "$log" "${fresh:-}"' EXIT # fresh is where a script may put something together

say() { printf '%s: %s\n' "$name" "$*"; }

give_up() {
  say "$1" >&2
  say "$otherwise" >&2
  exit 1
}

# choose_manager sets manager to the machine's package manager. $1 says what is missing.
choose_manager() {
  local candidate
  manager=
  for candidate in apt-get dnf apk pacman brew; do
    if command -v "$candidate" >/dev/null; then
      manager=$candidate
      break
    fi
  done
  if [[ -z $manager ]]; then give_up "$1, and no package manager that this script knows"; fi
  if [[ $manager != brew && $EUID -ne 0 ]] && ! command -v sudo >/dev/null; then
    give_up "$1, and installing it takes root or sudo"
  fi
}

# Runs a command as root, its output kept for the case that it fails.
as_root() {
  local prefix=()
  if [[ $EUID -ne 0 ]]; then prefix=(sudo); fi
  quietly ${prefix[@]+"${prefix[@]}"} "$@"
}

quietly() {
  if ! "$@" </dev/null >>"$log" 2>&1; then
    tail -n 5 "$log" | sed "s/^/$name:   /"
    give_up "this failed: $*"
  fi
}

# Debian starts a service with a package unless RUNLEVEL says no.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -y -q -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@"
}

apt_install() { apt_get install --no-install-recommends "$@"; }
