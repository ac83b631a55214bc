"""Who may include whom: the table of the architecture, one row a package; //:BUILD, the layering tests and tidy read it.

A row reads "files in X may include headers of ...". Columns are packages, except that `l4` is //fake_l4:l4 (the X.2 headers) and `kernel` the
rest of fake_l4; `doors` is uvm's pmap.h, thread.h, pager.h and page.h and `uvm` the rest of uvm; `engine` is proptests/engine, `policy`
tools/policy. Headers of the own package are always allowed. A `testing` package is testonly; the two that fake a door count as that door:
fake_l4/testing as l4, uvm/testing as doors.
"""

COLUMNS = ["base", "traces", "l4", "kernel", "doors", "uvm", "pmap_sim", "vmserver", "machine", "model", "engine", "conform", "policy"]

ROWS = {
    "base": [],
    "traces": ["base"],
    "model": ["base", "traces"],
    "fake_l4": ["base", "l4", "kernel"],
    "uvm": ["base", "doors", "uvm"],
    "pmap_sim": ["base", "l4", "doors"],
    "vmserver": ["base", "l4", "doors", "uvm", "pmap_sim"],
    "machine": ["base", "traces", "l4", "kernel", "doors", "uvm", "pmap_sim", "vmserver"],
    "proptests/engine": [c for c in COLUMNS if c not in ["engine", "conform", "policy"]],
    "conform": [c for c in COLUMNS if c not in ["conform", "policy"]],
    "tools": ["base", "traces", "machine", "model", "engine", "conform", "policy"],
    "tools/policy": ["base", "traces", "doors", "uvm"],
    "proptests": COLUMNS,
}

# The row that a column's headers belong to.
COLUMN_ROW = {
    "base": "base",
    "traces": "traces",
    "l4": "fake_l4",
    "kernel": "fake_l4",
    "doors": "uvm",
    "uvm": "uvm",
    "pmap_sim": "pmap_sim",
    "vmserver": "vmserver",
    "machine": "machine",
    "model": "model",
    "engine": "proptests/engine",
    "conform": "conform",
    "policy": "tools/policy",
}

def may_see(column):
    """The package_group entries of every row that may include headers of `column`; a nested row that may not is taken out again."""
    specs = []
    for row in ROWS:
        if column in ROWS[row] or COLUMN_ROW[column] == row:
            specs.append("//" + row + "/...")
        else:
            for outer in ROWS:
                if row.startswith(outer + "/"):
                    specs.append("-//" + row + "/...")
    return specs

def _table_file_impl(ctx):
    lines = ["row " + " ".join([row] + ROWS[row]) for row in ROWS]
    lines += ["column %s %s" % (column, COLUMN_ROW[column]) for column in COLUMNS]
    out = ctx.actions.declare_file(ctx.label.name + ".txt")
    ctx.actions.write(out, "\n".join(lines) + "\n")
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles([out]))]

# The table as text, for programs: `row NAME COLUMN...` and `column NAME ROW`.
table_file = rule(implementation = _table_file_impl)
