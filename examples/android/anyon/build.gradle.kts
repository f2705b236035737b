// The AAR: libanyon_jni.so for each ABI, and the Java and Kotlin API. Everything comes from the project's own sources.
plugins {
    id("com.android.library")
    id("org.jetbrains.kotlin.android")
}

val anyonSources = rootDir.resolve("../..")
val jni = anyonSources.resolve("runtime_cpp/bindings/jni")

android {
    namespace = "ai.anyon"
    compileSdk = 35
    ndkVersion = "27.2.12479018"

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
        externalNativeBuild {
            cmake {
                targets += "anyon_jni"
                arguments += listOf(
                    "-DANYON_JNI=ON",
                    "-DANYON_LIBRARY=OFF",
                    "-DANDROID_STL=c++_static",
                    // Kernels are compiled to be fast in debug builds too: without it a caption would take seconds.
                    "-DCMAKE_BUILD_TYPE=Release",
                )
            }
        }
    }

    externalNativeBuild {
        cmake {
            path = anyonSources.resolve("CMakeLists.txt")
            version = "3.25.0+"
        }
    }

    sourceSets["main"].apply {
        java.srcDir(jni.resolve("java"))
        kotlin.srcDir(jni.resolve("kotlin"))
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
    kotlinOptions { jvmTarget = "11" }

    publishing { singleVariant("release") }
}
