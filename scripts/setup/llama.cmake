# Included by CMake right after llama-cpp-python's project() call. Its CMakeLists forces llama.cpp's `common` library
# into the build (half of all files), which the Python bindings never load; a plain variable wins over that cache entry.
set(LLAMA_BUILD_COMMON OFF)
