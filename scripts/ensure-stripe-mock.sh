#!/usr/bin/env bash
# Sees to it that the specs find stripe-mock, Stripe's own check of requests against its
# schema, in .bin. It starts nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly version=v0.203.0
readonly program=.bin/stripe-mock-$version

if [[ -x $program ]]; then exit; fi
printf 'stripe: installing stripe-mock %s\n' "$version"
mkdir -p .bin
fresh=$(mktemp -d .bin/stripe-new-XXXXXX)
trap 'rm -rf "$fresh"' EXIT
GOBIN=$PWD/$fresh go install "github.com/stripe/stripe-mock@$version"
mv "$fresh/stripe-mock" "$program"
