"""mutant_programs: programs built of a copy of the sources in which every mutant of some lists is present, chosen at run time."""

# Files of the packages that are programs of their own, or that two programs define differently.
_NOT_IN_LIBRARY = [
    "_test.cc",
    "_benchmark.cc",
    "_fuzzer.cc",
    "_main.cc",
    "base/panic_host.cc",
    "fake_l4/l4_layouts.cc",
    "fake_l4/manual_program.cc",
]

def _wanted(path):
    for ending in _NOT_IN_LIBRARY:
        if path.endswith(ending):
            return False
    return True

def _mutated_tree_impl(ctx):
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    sites = ctx.actions.declare_file(ctx.label.name + "/proptests/mutants/sites.cc")
    args.add("mechanical" if ctx.attr.mechanical else "listed")
    args.add(sites)
    args.add_all(ctx.files.lists)
    args.add("--")
    outputs = [sites]
    for source in ctx.files.srcs:
        if not _wanted(source.short_path):
            continue
        out = ctx.actions.declare_file(ctx.label.name + "/" + source.short_path)
        args.add_all([source.path, source.short_path, out.path])
        outputs.append(out)
    ctx.actions.run(
        executable = ctx.executable._rewrite,
        arguments = [args],
        inputs = ctx.files.srcs + ctx.files.lists,
        outputs = outputs,
        mnemonic = "Mutate",
        progress_message = "Putting mutants into %d sources" % len(outputs),
    )
    return [DefaultInfo(files = depset(outputs))]

_mutated_tree = rule(
    implementation = _mutated_tree_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = True),
        "lists": attr.label_list(allow_files = [".json"]),
        "mechanical": attr.bool(),
        "_rewrite": attr.label(default = "//proptests/mutants:rewrite", executable = True, cfg = "host"),
    },
)

def mutant_programs(name, srcs, judge, selector, lists, deps, test_deps, tests, data = [], mechanical = False, tags = []):
    """The judge as cc_binary `name`, and beside it one program for each test.

    Args:
      name: of the judge.
      srcs: every source that may have mutants, and all headers that they need.
      judge: sources of the judge itself, and
      selector: of what says which mutant is on. They have no mutants.
      lists: mutant files.
      deps: libraries outside the tree that srcs need.
      test_deps: the same for the tests.
      tests: name of a program -> label of the test's source.
      data: what the tests read.
      mechanical: whether the sources have mechanical mutants, too.
      tags: of all targets.
    """
    tree = name + "_tree"
    _mutated_tree(name = tree, srcs = srcs, lists = lists, mechanical = mechanical, tags = tags, testonly = True)

    # One library, so that no file of the original tree comes near it. Warnings are the original's business.
    # A literal in braces with a switch around it is one that could be anything.
    options = ["-w", "-Wno-error", "-Wno-thread-safety", "-Wno-narrowing"]
    native.cc_library(
        name = name + "_code",
        testonly = True,
        srcs = [":" + tree],
        copts = options,
        features = ["-layering_check"],
        includes = [tree, tree + "/fake_l4/include"],
        linkstatic = True,
        tags = tags,
        deps = deps + test_deps,
    )
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = judge + selector,
        copts = options,
        data = [":%s_%s" % (name, t) for t in tests] + data + lists,
        features = ["-layering_check"],
        tags = tags,
        deps = [":" + name + "_code"] + deps,
    )

    # The judge without the programs: enough for campaigns, and quicker to build.
    native.cc_binary(
        name = name + "_of_campaigns",
        testonly = True,
        srcs = judge + selector,
        copts = options,
        features = ["-layering_check"],
        tags = tags,
        deps = [":" + name + "_code"] + deps,
    )
    for test in tests:
        native.cc_binary(
            name = "%s_%s" % (name, test),
            testonly = True,
            srcs = [tests[test]] + selector,
            copts = options,
            features = ["-layering_check"],
            tags = tags,
            deps = [":" + name + "_code"] + test_deps,
        )
