#!/bin/bash
# tests/lint/run.sh [FILE …]: clang-tidy (.clang-tidy), cppcheck (tests/lint/cppcheck.txt) and clang-format (.clang-format) over each of
# our source files, or over those named; two at a time. What they say of a file is printed with it; then "N passed, N failed", one for
# each file. Of headers the format alone is looked at; the rest is seen with the files that include them.
# Needs build/release/compile_commands.json, which it makes if it is missing.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=build/release
out=tests/out/lint
mkdir -p "$out"

# what the code of one file deserves; non-zero: something
check_code() {
    local file=$1 log=$2 bad=0
    # under _FORTIFY_SOURCE clang sees macros where GCC sees functions, and banned.h cannot poison those
    clang-tidy -p "$build" --extra-arg=-U_FORTIFY_SOURCE --quiet "$file" >"$log" 2>"$log.err" || bad=1
    # clang's own errors (a header not found, say) end on stderr, beside counts of what was suppressed
    [ $bad -eq 1 ] && [ ! -s "$log" ] && cat "$log.err" >>"$log"
    cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppressions-list=tests/lint/cppcheck.txt --template=gcc -D_GNU_SOURCE -I. --include=common/base/banned.h \
        --include=tests/lint/cppcheck.h "$file" \
        >>"$log" 2>&1 || bad=1
    rm -f "$log.err"
    return $bad
}

check_file() {
    local file=$1 log bad=0
    log=$out/${file//\//_}.log
    : >"$log"
    case $file in
    *.h) ;;
    *) check_code "$file" "$log" || bad=1 ;;
    esac
    clang-format --dry-run -Werror "$file" >>"$log" 2>&1 || bad=1
    if [ $bad -eq 0 ]; then
        rm -f "$log"
        echo "ok    $file"
    else
        { echo "FAIL  $file"; sed 's/^/      /' "$log"; } | head -n 60
    fi
    return 0
}

if [ ! -f "$build/compile_commands.json" ]; then
    cmake --preset release >"$out/configure.log" 2>&1 || { cat "$out/configure.log"; echo "0 passed, 1 failed"; exit 1; }
fi
if [ $# -gt 0 ]; then
    files=$(printf '%s\n' "$@")
else
    files=$(/usr/bin/python3 tests/lint/files.py "$build") || exit 2
fi
export build out
export -f check_file check_code
# one write for each file, so that what is said of two files does not mix
xargs -r -P 2 -I{} bash -c 'said=$(check_file {}); printf "%s\n" "$said"' <<<"$files" | tee "$out/results" | grep -v '^ok '
passed=$(grep -c '^ok ' "$out/results")
failed=$(grep -c '^FAIL ' "$out/results")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
