#!/usr/bin/env bash
# Every target for so much processor time, several side by side: fuzz/all.sh [SECONDS [AT_A_TIME [TARGET...]]], by default 1800 and one a processor.
#
# Needs a nightly toolchain and cargo-fuzz. Works on copies of the corpora, under fuzz/target/runs, and prints a line of a table for each
# target; ends with 1 when one has found something, which then lies there too.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-1800} at_a_time=${2:-$(nproc)}
shift $(($# < 2 ? $# : 2))
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*.rs)

cargo +nightly fuzz build
binaries=target/$(rustc +nightly --version --verbose | sed -n 's/^host: //p')/release
runs=target/runs
for target in "${targets[@]}"; do
  mkdir -p "$runs/$target/found" "$runs/$target/corpus"
  cp -n "corpus/$target/"* "$runs/$target/corpus/"
done

# Ends after SECONDS of processor time, however much else the machine has to do.
fuzz_one() { # SECONDS BINARY DIRECTORY
  local log=$3/log ended=0 used=0 now started=$SECONDS
  "$2" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$3/found/" "$3/corpus" >"$log" 2>&1 &
  while now=$(ps -o cputimes= -p $!); do
    used=$((now))
    if [ "$used" -ge "$1" ]; then kill -USR1 $!; fi
    sleep 1
  done
  wait $! || ended=$?
  local executed coverage
  executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
  echo "| \`$(basename "$3")\` | $used of $((SECONDS - started)) | ${executed:-?} | ${coverage:-?} | $(find "$3/found" -type f | wc -l) |"
  return "$ended"
}
export -f fuzz_one

echo '| Target | Processor seconds, of so many by the clock | Executions | Coverage points | Findings |'
echo '|---|---|---|---|---|'
printf '%s\n' "${targets[@]}" |
  xargs -P "$at_a_time" -I TARGET bash -c "fuzz_one $seconds $binaries/TARGET $runs/TARGET"
