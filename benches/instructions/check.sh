#!/usr/bin/env bash
# Counts the instructions of a request and of its pieces, and fails where one costs 3 % and 40 instructions more than it
# did.
#
#   check.sh            compares with baseline.txt; on a machine it does not know, with the parent commit
#   check.sh --record   writes this machine's figures to baseline.txt
#
# Figures depend on compiler, C library and processor (glibc picks its `memcpy` by it), so a baseline is of all three.
# INSTRUCTIONS_BASE names another commit than HEAD~1 to compare with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

BASELINE=$PWD/baseline.txt
TARGET=$(cd ../.. && pwd)/target/instructions
TOLERANCE_PERCENT=3
# Where code comes to lie is worth some 40 instructions to a row, which of a row of a few hundred is more than 3 %.
TOLERANCE=40
# Figures depend on these, too.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
export CARGO_INCREMENTAL=0

main() {
  command -v valgrind >/dev/null || apt-get install -qq -y valgrind >/dev/null
  local now=$TARGET/now.txt before=$TARGET/before.txt key
  mkdir -p "$TARGET"
  key=$(key)
  measure .. "$TARGET" >"$now"
  if [[ ${1:-} == --record ]]; then
    record "$key" "$now"
    return
  fi
  section "$key" >"$before"
  if [[ -s $before ]]; then
    echo "compared with the baseline of $key"
  elif parent "$before"; then
    echo "no baseline of $key: compared with the parent commit"
  else
    echo "no baseline of $key, and no parent commit that could be measured"
    : >"$before"
  fi
  compare "$before" "$now"
}

key() {
  local rustc libc cpu
  rustc=$(rustc --version)
  libc=$(getconf GNU_LIBC_VERSION)
  cpu=$(awk -F': ' '/^(model|model name)[[:space:]]*:/ && !seen[$1]++ { printf "%s%s", sep, $2; sep = " " }' \
    /proc/cpuinfo)
  echo "$rustc, $libc, $cpu"
}

# measure BENCHES TARGET: builds the crate there, with the versions in the library's own lock file, and runs it.
measure() {
  cp "$1/../Cargo.lock" "$1/instructions/"
  cargo build --quiet --release --manifest-path "$1/instructions/Cargo.toml" --target-dir "$2" >&2 &&
    "$2/release/cas-proxy-instructions"
}

# parent FILE: the figures of the parent commit, measured here.
parent() {
  local tree=$TARGET/parent result=0
  git worktree remove --force "$tree" 2>/dev/null || true
  git worktree add --quiet --detach "$tree" "${INSTRUCTIONS_BASE:-HEAD~1}" 2>/dev/null || return
  if [[ -d $tree/benches/instructions ]]; then
    measure "$tree/benches" "$TARGET/of-parent" >"$1" || result=1
  else
    result=1
  fi
  git worktree remove --force "$tree"
  return "$result"
}

# section KEY: the figures below the line `# KEY`.
section() {
  [[ -e $BASELINE ]] || return 0
  awk -v key="# $1" '/^#/ { found = $0 == key; next } found && NF' "$BASELINE"
}

record() {
  local others
  others=$(awk -v key="# $1" '/^#/ { found = $0 == key } !found' "$BASELINE" 2>/dev/null || true)
  { [[ -z $others ]] || printf '%s\n' "$others"; printf '# %s\n' "$1"; cat "$2"; } >"$BASELINE.new"
  mv "$BASELINE.new" "$BASELINE"
  cat "$2"
}

# compare BEFORE NOW: a table; fails if a row is dearer than it may be.
compare() {
  awk -F'\t' -v percent="$TOLERANCE_PERCENT" -v absolute="$TOLERANCE" '
    FILENAME == ARGV[1] { before[$1] = $2; next }
    !($1 in before) { printf "%-16s %10s %10d  new\n", $1, "-", $2; next }
    {
      more = $2 - before[$1]
      change = 100 * more / before[$1]
      dearer = change > percent && more > absolute
      failed += dearer
      printf "%-16s %10d %10d  %+.1f %%%s\n", $1, before[$1], $2, change, dearer ? "  TOO MUCH" : ""
    }
    END { exit failed > 0 }
  ' "$1" "$2"
}

main "$@"
