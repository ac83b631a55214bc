# shellcheck shell=bash disable=SC2034,SC2154
# tools/launch.sh: what ./vmsim and ./test share; sourced, never run. The caller sets `me` to its own name first.
#
# Defines root (the workspace), cache (a directory of our own outside it), and the functions below. Nothing is printed to standard output.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# Bazel refuses to start without a home; a service account may have none.
[[ -n ${HOME:-} && -d $HOME && -w $HOME ]] || export HOME=/tmp/uvm_l4_home.$UID
cache=${XDG_CACHE_HOME:-$HOME/.cache}/uvm_l4/$(printf '%s' "$root" | cksum | cut -d' ' -f1)

# BAZEL may name another command, with start-up options ("bazel --output_base=/tmp/ob"); it is split at blanks on purpose.
run_bazel() {
  # shellcheck disable=SC2086
  ${BAZEL:-bazel} "$@"
}

die() {
  echo "$me: error: $*" >&2
  exit 1
}

note() {
  [[ -t 2 ]] && printf '\r\033[K%s: %s' "$me" "$*" >&2
  return 0
}

clear_note() {
  [[ -t 2 ]] && printf '\r\033[K' >&2
  return 0
}

# Prints the packages of tools/packages.txt that are not installed, one a line.
missing_packages() {
  local wanted installed
  wanted=$(grep -v '^#' "$root/tools/packages.txt" | sort)
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
  comm -23 <(echo "$wanted") <(echo "$installed")
}

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "packages are missing ($missing) and you are neither root nor is sudo installed; ask an administrator to install them"
  fi
}

apt_install() {
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 $missing \
    </dev/null >>"$apt_log" 2>&1
}

# Installs what is missing; returns at once if nothing is. The package index is refreshed first, and the whole is tried twice, because a
# stale index and a dropped connection are the two usual failures.
ensure_packages() {
  local missing apt_log attempt
  command -v dpkg-query >/dev/null || die "this is not a Debian system (no dpkg-query); install the packages of tools/packages.txt by hand"
  missing=$(missing_packages | tr '\n' ' ')
  missing=${missing% }
  [[ -n $missing ]] || return 0
  apt_log=$(mktemp) || die "no temporary file could be made"
  echo "$me: installing Debian packages: $missing" >&2
  for attempt in 1 2; do
    as_root apt-get update -o DPkg::Lock::Timeout=300 </dev/null >>"$apt_log" 2>&1
    apt_install && break
  done
  missing=$(missing_packages | tr '\n' ' ')
  missing=${missing% }
  if [[ -n $missing ]]; then
    die "these Debian packages could not be installed: $missing ($(grep -m1 '^E: ' "$apt_log" || echo 'apt-get gave no reason'); see $apt_log)"
  fi
  rm -f "$apt_log"
  # The toolchain's list of system headers was made before the packages came; layering_check would reject their headers.
  (cd "$root" && run_bazel sync --configure >/dev/null 2>&1) || true
}
