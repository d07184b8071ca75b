#!/usr/bin/env bash
# Sees to it that the specs find an OpenID Connect provider to sign in at: the example
# server of zitadel/oidc, a certified implementation, in .bin. It starts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly version=v3.51.17
readonly program=.bin/oidc-server-$version

if [[ -x $program ]]; then exit; fi
printf 'oidc: installing the provider %s\n' "$version"
mkdir -p .bin
fresh=$(mktemp -d .bin/oidc-new-XXXXXX)
trap 'rm -rf "$fresh"' EXIT
GOBIN=$PWD/$fresh go install "github.com/zitadel/oidc/v3/example/server@$version"
mv "$fresh/server" "$program"
