# The llama.cpp of an image: built on one machine, run on others. The compute part is compiled once for each of the kinds
# of CPU below, as modules, and the one that fits is loaded at run time (switch/worker/backends.py).
include("${CMAKE_CURRENT_LIST_DIR}/llama.cmake")
set(GGML_NATIVE OFF)
set(GGML_BACKEND_DL ON)
set(GGML_CPU_ALL_VARIANTS ON)
set(CMAKE_INSTALL_LIBDIR llama_cpp/lib)
set(CMAKE_INSTALL_BINDIR llama_cpp/lib) # where llama.cpp installs modules
set(CMAKE_INSTALL_RPATH "$ORIGIN")

# Each kind costs a minute or two of compiling. Those left out run on a neighbour's code: Sandy Bridge on sse42, Ice Lake
# and Zen 4 on cascadelake. AMX is left out because nobody could try it here.
set(kinds x64 sse42 ivybridge haswell alderlake skylakex cascadelake armv8.0_1 armv8.2_2 armv8.6_1)

# llama.cpp knows all kinds or none, so its list is shortened in the unpacked source, before it is read.
if(PROJECT_NAME STREQUAL "llama_cpp")
    set(list_of_kinds "${PROJECT_SOURCE_DIR}/vendor/llama.cpp/ggml/src/CMakeLists.txt")
    file(READ "${list_of_kinds}" text)
    string(REGEX REPLACE "(\n *)(ggml_add_cpu_backend_variant\\()" "\\1# \\2" shortened "${text}")
    if(shortened STREQUAL text)
        message(FATAL_ERROR "llama.cpp lists its kinds of CPU in another way than scripts/setup/portable.cmake expects")
    endif()
    foreach(kind IN LISTS kinds)
        string(REGEX REPLACE "# (ggml_add_cpu_backend_variant\\(${kind}[ )])" "\\1" shortened "${shortened}")
    endforeach()
    file(WRITE "${list_of_kinds}" "${shortened}")
endif()
