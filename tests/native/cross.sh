#!/usr/bin/env bash
# Builds the kernels with their self-test for every platform and language below, and runs it where this machine can.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/cross
concerns=$(printf 'CONCERN(%s) ' $(basename -s .c csrc/kernels/*.c csrc/runtime/*.c) chain)
sources="csrc/kernels/*.c csrc/runtime/*.c tests/native/*.c"
flags="-O2 -ftree-vectorize -fno-math-errno -fno-trapping-math -Wall -Wextra -Werror -Icsrc -Itests/native" # as in setup.py
trap 'echo "make cross: failed" >&2' ERR

# need PACKAGE COMMAND...
need() {
    for command in "${@:2}"; do
        if ! command -v "$command" > /dev/null; then
            echo "make cross: $command was not found; on Debian, apt install $1" >&2
            exit 1
        fi
    done
}

# compile NAME COMPILER FLAGS...: objects and selftest in build/cross/NAME
compile() {
    echo "== $1: ${*:2}"
    rm -rf "${build:?}/$1"
    mkdir -p "$build/$1"
    printf '%s\n' $sources | xargs -P "$(nproc)" -I{} bash -c \
        'source=$1; shift; name=${source%.c}; exec "${@:3}" "-DCONCERNS=$2" -c "$source" -o "$1/${name//\//-}.o"' \
        _ {} "$build/$1" "$concerns" "${@:2}" $flags
    "${@:2}" "$build/$1"/*.o -lm -o "$build/$1/selftest"
}

need build-essential gcc
need clang clang
need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc aarch64-linux-gnu-objdump
need qemu-user qemu-aarch64
need gcc-mingw-w64-x86-64 x86_64-w64-mingw32-gcc

compile native gcc -std=gnu11 -pthread
"$build/native/selftest"

compile clang clang -std=gnu11 -pthread
"$build/clang/selftest"

# A C11 compiler that knows none of GCC's extensions.
compile plain gcc -std=c11 -pedantic-errors -DEN_PLAIN_C -pthread
"$build/plain/selftest"

compile aarch64 aarch64-linux-gnu-gcc -std=gnu11 -pthread -static
aarch64-linux-gnu-objdump -d "$build/aarch64/csrc-kernels-gemm.o" > "$build/aarch64/gemm.s"
for lanes in 4s 2d; do
    if ! grep -q "fmla.*v[0-9]*\.$lanes" "$build/aarch64/gemm.s"; then
        echo "make cross: the matrix product for aarch64 has no NEON multiply-add of $lanes vectors" >&2
        exit 1
    fi
done
qemu-aarch64 "$build/aarch64/selftest"

# There are no POSIX threads: everything runs on the calling thread. Nothing here runs the result.
compile windows x86_64-w64-mingw32-gcc -std=gnu11 -D__USE_MINGW_ANSI_STDIO=1
test -f "$build/windows/selftest.exe"

echo "make cross: everything passed"
