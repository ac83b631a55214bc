"""The deployable object: base, uvm, pmap_sim and vmserver in one relocatable file (design D2).

Every deployable package exposes its sources:

    filegroup(
        name = "deployable_srcs",
        srcs = glob(["*.h", "*.cc"], exclude = ["*_test.cc", "*_benchmark.cc", "*_host.cc"]),
        visibility = ["//vmserver:__pkg__"],
    )

A file named *_host.cc is the one exception: what only the simulation needs to link (the panic handler of a host process). vmserver/BUILD says

    load("//tools/bazel:deployable.bzl", "deployable")
    deployable(
        name = "deployable",
        srcs = [":deployable_srcs", "//base:deployable_srcs", "//pmap_sim:deployable_srcs", "//uvm:deployable_srcs"],
        deps = ["//fake_l4:l4"],
        symbols = "deployable_symbols.txt",
    )

and gets :deployable (the objects of clang and of gcc), :deployable_m32 (a syntax check as 32-bit code by both) and
:deployable_symbols_test, which holds both objects to the committed list of undefined symbols.
"""

# What code of the deployable side is compiled with in ordinary builds too (vm_cc_library).
FREESTANDING_COPTS = [
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-fno-stack-protector",
]

_COMPILERS = {
    "clang": "/usr/bin/clang++",
    "gcc": "/usr/bin/g++",
}

_FLAGS = FREESTANDING_COPTS + [
    "-std=c++20",
    "-ffreestanding",
    "-DUVM_DEPLOYABLE=1",
    "-Wall",
    "-Wextra",
    "-Werror",
]

# -fno-pic: tables of pointers then need no relocation at run time and stay in .rodata, so any .data or .bss is a mutable global.
_OBJECT_FLAGS = [
    "-O2",
    "-fno-pic",
    "-fno-asynchronous-unwind-tables",
    "-fcf-protection=none",
]

# Debian's 32-bit C headers lack <asm/...>; those of the 64-bit set serve (they choose by macro).
_M32_FLAGS = [
    "-m32",
    "-fsyntax-only",
    "-idirafter",
    "/usr/include/x86_64-linux-gnu",
]

def _contexts(deps):
    return [d[CcInfo].compilation_context for d in deps]

def _include_flags(ctx):
    flags = ["-iquote", ".", "-iquote", ctx.bin_dir.path]
    for context in _contexts(ctx.attr.deps):
        for directory in context.includes.to_list():
            flags += ["-I", directory]
        for directory in context.system_includes.to_list():
            flags += ["-isystem", directory]
    return flags

def _sources(ctx):
    files = depset(transitive = [s[DefaultInfo].files for s in ctx.attr.srcs]).to_list()
    code = [f for f in files if f.extension == "cc"]
    headers = depset(
        [f for f in files if f.extension == "h"],
        transitive = [context.headers for context in _contexts(ctx.attr.deps)],
    )
    return code, headers

def _object_impl(ctx):
    code, headers = _sources(ctx)
    flags = _FLAGS + _OBJECT_FLAGS + _include_flags(ctx)
    objects = []
    for source in code:
        obj = ctx.actions.declare_file("_%s/%s.o" % (ctx.label.name, source.short_path[:-len(".cc")]))
        ctx.actions.run(
            executable = _COMPILERS[ctx.attr.compiler],
            arguments = flags + ["-c", source.path, "-o", obj.path],
            inputs = depset([source], transitive = [headers]),
            outputs = [obj],
            mnemonic = "DeployableCompile",
            progress_message = "Compiling %s, freestanding, %s" % (source.short_path, ctx.attr.compiler),
            use_default_shell_env = True,
        )
        objects.append(obj)
    linked = ctx.actions.declare_file(ctx.label.name + ".o")
    ctx.actions.run(
        executable = "/usr/bin/ld",
        arguments = ["-r", "-o", linked.path] + [o.path for o in objects],
        inputs = objects,
        outputs = [linked],
        mnemonic = "DeployableLink",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([linked]), runfiles = ctx.runfiles([linked]))]

_ATTRS = {
    "srcs": attr.label_list(allow_files = True),
    "deps": attr.label_list(providers = [CcInfo]),
    "compiler": attr.string(values = _COMPILERS.keys()),
}

_deployable_object = rule(implementation = _object_impl, attrs = _ATTRS)

def _m32_impl(ctx):
    code, headers = _sources(ctx)
    flags = _FLAGS + _M32_FLAGS + _include_flags(ctx)
    stamps = []
    for source in code:
        stamp = ctx.actions.declare_file("_%s/%s.ok" % (ctx.label.name, source.short_path[:-len(".cc")]))
        ctx.actions.run_shell(
            command = '"$@" && touch ' + stamp.path,
            arguments = [_COMPILERS[ctx.attr.compiler]] + flags + [source.path],
            inputs = depset([source], transitive = [headers]),
            outputs = [stamp],
            mnemonic = "DeployableM32",
            progress_message = "Checking %s as 32-bit code, %s" % (source.short_path, ctx.attr.compiler),
            use_default_shell_env = True,
        )
        stamps.append(stamp)
    return [DefaultInfo(files = depset(stamps), runfiles = ctx.runfiles(stamps))]

_deployable_m32 = rule(implementation = _m32_impl, attrs = _ATTRS)

def deployable(name, srcs, symbols, deps = [], visibility = None):
    """The relocatable object under both compilers, its 32-bit syntax check and its symbol test; see the head of this file."""
    objects = []
    checks = []
    for compiler in _COMPILERS:
        _deployable_object(name = name + "_" + compiler, srcs = srcs, deps = deps, compiler = compiler)
        _deployable_m32(name = name + "_m32_" + compiler, srcs = srcs, deps = deps, compiler = compiler)
        objects.append(":" + name + "_" + compiler)
        checks.append(":" + name + "_m32_" + compiler)
    native.filegroup(name = name, srcs = objects, visibility = visibility)
    native.filegroup(name = name + "_m32", srcs = checks, visibility = visibility)
    native.sh_test(
        name = name + "_symbols_test",
        size = "small",
        srcs = ["//tools/bazel:deployable_symbols.sh"],
        args = ["$(location %s)" % symbols] + ["$(location %s)" % o for o in objects],
        data = [symbols, ":" + name + "_m32"] + objects,
    )
