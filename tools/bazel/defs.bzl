"""Macros of the deployable side, and the layering test every package of the table ends with.

    vm_cc_library       a library of base, uvm, pmap_sim or vmserver: freestanding code (design D2)
    vm_cc_test          its GoogleTest test; exceptions and RTTI stay on there, as GoogleTest needs them
    layering_test       last line of a BUILD file: holds the package's targets to the table of //tools/bazel:table.bzl
"""

load("//tools/bazel:deployable.bzl", "FREESTANDING_COPTS")

def vm_cc_library(name, copts = [], **kwargs):
    """cc_library without run-time support of the language: no exceptions, RTTI, guarded statics or stack protector."""
    native.cc_library(
        name = name,
        copts = FREESTANDING_COPTS + copts,
        **kwargs
    )

def vm_cc_test(name, deps = [], size = "small", **kwargs):
    """cc_test of deployable code; links GoogleTest's main unless deps name GoogleTest themselves."""
    main = [] if [d for d in deps if d.startswith("//third_party:g")] else ["//third_party:gtest_main"]
    native.cc_test(
        name = name,
        size = size,
        deps = deps + main,
        **kwargs
    )

def layering_test(name = "layering_test"):
    """Checks every edge of the dependency graph below the package's C++ targets against the table; call it last in the BUILD file.

    Bazel's visibility says no to a forbidden direct edge; this test says no to a visibility list that was widened by hand, and to anything
    forbidden that is reached in two steps.
    """
    rules = native.existing_rules()
    package = native.package_name()
    scope = sorted([
        "//%s:%s" % (package, n)
        for n in rules
        if rules[n]["kind"].startswith("cc_") and "layering_violation" not in rules[n].get("tags", [])
    ])
    if not scope:
        fail("//%s has no C++ target, so it needs no layering_test" % package)
    native.genquery(
        name = name + "_graph",
        testonly = True,
        expression = "deps(set(%s))" % " ".join(scope),
        opts = ["--output=graph", "--nograph:factored", "--noimplicit_deps"],
        scope = scope,
    )
    native.sh_test(
        name = name,
        size = "small",
        srcs = ["//tools/layering:check"],
        args = [
            "$(location //tools/layering:table)",
            "$(location :%s_graph)" % name,
            package,
        ],
        data = [
            ":%s_graph" % name,
            "//tools/layering:table",
        ],
        tags = ["layering"],
    )
