#!/bin/bash
# tests/fuzz/run.sh [SECONDS]: builds all fuzz targets (preset fuzz, build/fuzz) and runs each for SECONDS (30), two at a time,
# over a copy of its corpus, so that the checked-in one stays as it is. One line for each target, then "N passed, N failed".
# What a crash left behind lies in tests/out/fuzz: NAME.log, and NAME-crash-… to run the target with.
set -u
cd "$(dirname "$0")/../.." || exit 2
seconds=${1:-30}
case $seconds in '' | *[!0-9]*) echo "usage: tests/fuzz/run.sh [SECONDS]" >&2; exit 2 ;; esac
build=build/fuzz
out=tests/out/fuzz
mkdir -p "$out"

build_all() {
    cmake --preset fuzz >"$out/build.log" 2>&1 && ninja -C "$build" -j2 -k0 fuzz_targets >>"$out/build.log" 2>&1
}

# Runs target $1; says how it went, and fails if it failed.
run_one() {
    local name=$1 binary=$build/fuzz/fuzz_$1 log=$out/$1.log copy dict=()
    if [ ! -x "$binary" ] || [ "tests/fuzz/fuzz_$name.c" -nt "$binary" ]; then
        echo "FAIL  $name: did not build, see $out/build.log"
        return 1
    fi
    copy=$(mktemp -d) || return 1
    [ -d "tests/fuzz/corpus/$name" ] && cp -r "tests/fuzz/corpus/$name/." "$copy/"
    [ -f "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
    if "$binary" "$copy" "${dict[@]}" "-max_total_time=$seconds" -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
        "-artifact_prefix=$out/$name-" </dev/null >"$log" 2>&1; then
        echo "ok    $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs," \
            "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1) edges"
        rm -rf "$copy"
        return 0
    fi
    echo "FAIL  $name: $(grep -m 1 -E 'SUMMARY|ERROR|Assertion' "$log"), see $log"
    rm -rf "$copy"
    return 1
}

build_all
export build out seconds
export -f run_one
for file in tests/fuzz/fuzz_*.c; do
    name=${file##*/fuzz_}
    echo "${name%.c}"
done | xargs -r -P 2 -I{} bash -c 'run_one {}' | tee "$out/results"
failed=$(grep -c '^FAIL' "$out/results")
passed=$(grep -c '^ok' "$out/results")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
