#!/bin/sh
# Anyon.xcframework for iOS and its simulator, beside this file. Runs on a Mac with Xcode, CMake and nlohmann-json
# (`brew install cmake nlohmann-json`).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=$root/build/xcframework
libraries=
for sdk in iphoneos iphonesimulator; do
  # The processor is what CMake cannot know when it cross-compiles, and what chooses the NEON kernels.
  cmake -S "$root" -B "$build/$sdk" -G Xcode -DCMAKE_SYSTEM_NAME=iOS -DCMAKE_SYSTEM_PROCESSOR=arm64 \
    -DCMAKE_OSX_ARCHITECTURES=arm64 -DCMAKE_OSX_SYSROOT=$sdk -DCMAKE_OSX_DEPLOYMENT_TARGET=15.0 \
    -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=BOTH
  cmake --build "$build/$sdk" --config Release --target anyon_static
  library=$(find "$build/$sdk" -name libanyon.a -path '*Release*')
  libraries="$libraries -library $library -headers $build/headers"
done
rm -rf "$build/headers" "$here/Anyon.xcframework"
mkdir -p "$build/headers"
cp -R "$root/runtime_cpp/include/anyon" "$build/headers/"
cp "$here"/Sources/CAnyon/shim.h "$build/headers/"
grep -v 'link "anyon"' "$here/Sources/CAnyon/module.modulemap" > "$build/headers/module.modulemap"
# shellcheck disable=SC2086
xcodebuild -create-xcframework $libraries -output "$here/Anyon.xcframework"
