// swift-tools-version:5.9
// Anyon for Swift. On Apple's systems the library comes as Anyon.xcframework (see xcframework.sh) beside this file;
// where there is none, as on Linux, it is the libanyon that pkg-config finds.
import Foundation
import PackageDescription

let framework = "Anyon.xcframework"
let hasFramework = FileManager.default.fileExists(atPath: Context.packageDirectory + "/" + framework)

let package = Package(
  name: "Anyon",
  platforms: [.iOS(.v15), .macOS(.v12)],
  products: [.library(name: "Anyon", targets: ["Anyon"])],
  targets: [
    hasFramework
      ? .binaryTarget(name: "CAnyon", path: framework)
      : .systemLibrary(name: "CAnyon", pkgConfig: "anyon"),
    .target(
      name: "Anyon", dependencies: ["CAnyon"],
      linkerSettings: [.linkedLibrary("c++", .when(platforms: [.iOS, .macOS]))]),
    .testTarget(name: "AnyonTests", dependencies: ["Anyon"]),
  ]
)
