#!/usr/bin/env bash
# Puts one fault after the other into a copy of the program, and runs the spec that has to
# notice it. A spec that does not is a defect of the spec.
#
# test/faults/mutants/*.patch: "Fault:" says what is wrong with the program, "Spec:" is the
# sentence that must fail, "Suite:" the package that it stands in when it is none of the fault
# specs. MUTANTS=no-fence runs some of them only: a pattern of names.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# A storm hits what it is after nearly always, not always.
storms=3
limit=4m

work=$(mktemp -d "${TMPDIR:-/tmp}/fusion-mutants-XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # PostgreSQL does not run as root and has to pass through
mkdir "$work/tree" "$work/tmp"
chmod 1777 "$work/tmp"

git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
	[[ ! -e $f ]] || printf '%s\0' "$f"
done | tar --null -T - -cf - | tar -xf - -C "$work/tree"
go test -c -o "$work/faults.test" ./test/faults

export CGO_ENABLED=0
field() { sed -n "s/^$1: //p;/^diff /q" "$2"; }

build() { # what a spec is run against: the suite itself, or the program that the fault specs break
	cd "$work/tree"
	if [[ -n $1 ]]; then
		go test -c -o "$work/suite.test" "$1"
		return
	fi
	go build -trimpath -o "$work/fusion" ./cmd/fusion && go build -trimpath -o "$work/consumer" ./test/faults/consumer
}

run() { # the spec, against what was built: succeeds when the spec does
	(
		if [[ -n $2 ]]; then
			cd "$work/tree/$2"
			TMPDIR=$work/tmp timeout --kill-after=30s "$limit" "$work/suite.test" -ginkgo.no-color -ginkgo.focus="$1" >"$work/output" 2>&1
			return
		fi
		cd "$root/test/faults"
		TMPDIR=$work/tmp FUSION_FAULTS_BINARY=$work/fusion FUSION_FAULTS_CONSUMER=$work/consumer \
			timeout --kill-after=30s "$limit" "$work/faults.test" -ginkgo.no-color -ginkgo.focus="$1" >"$work/output" 2>&1
	)
}

table=$(printf '| %-25s | %-7s | %s' mutant verdict 'spec: what it said')
failed=0 ran=0
for patch in test/faults/mutants/${MUTANTS:-*}.patch; do
	name=$(basename "$patch" .patch)
	spec=$(field Spec "$patch") suite=$(field Suite "$patch")
	tries=$storms
	[[ -z $suite ]] || tries=1
	started=$SECONDS said=-
	ran=$((ran + 1))
	if [[ -z $spec || -z $(field Fault "$patch") ]]; then
		verdict="no spec"
	elif ! (cd "$work/tree" && git apply --check "$root/$patch") 2>"$work/output"; then
		verdict="stale"
	else
		(cd "$work/tree" && git apply "$patch")
		verdict="escaped"
		if ! (build "$suite") >"$work/output" 2>&1; then
			verdict="broken"
		else
			for ((n = 1; n <= tries; n++)); do
				if run "$spec" "$suite"; then
					continue
				fi
				# Only the spec's own failure counts, not that of its surroundings.
				if grep -q "^Ran [1-9]" "$work/output" && grep -qE '\[(FAIL|TIMEDOUT)\]' "$work/output"; then
					verdict="caught"
					said=$(sed -n 's/^ *\[\(FAILED\|TIMEDOUT\)\] *//p' "$work/output" | grep -v '^in \[' | head -n 1 | cut -c 1-100)
				else
					verdict="no run"
				fi
				break
			done
		fi
		(cd "$work/tree" && git apply --reverse "$patch")
	fi
	echo "$name: $verdict after $((SECONDS - started)) s" >&2
	if [[ $verdict != caught ]]; then
		failed=$((failed + 1))
		tail -n 30 "$work/output" >&2
	fi
	table+=$'\n'$(printf '| %-25s | %-7s | %s: %s' "$name" "$verdict" "$spec" "$said")
done
echo "$table"
if ((failed > 0)); then
	echo "$failed of $ran mutants were not caught: 'escaped' passed its spec, 'stale' does not apply to this tree, 'broken' does not build" >&2
	exit 1
fi
