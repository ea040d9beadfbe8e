# Packages of the distribution.
# shellcheck shell=bash

# install_debian WHAT-FOR PACKAGE...
install_debian() {
  local purpose=$1 log
  shift
  command -v apt-get > /dev/null || die "for $purpose: install what your distribution calls $*"
  [[ $(id -u) == 0 ]] || die "for $purpose, as root: apt-get install $*"
  log=$(mktemp)
  say "installing $* for $purpose"
  {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends "$@"
  } &> "$log" || {
    tail -n 15 "$log" >&2
    die "apt-get could not install $*; its last words are above, all of them in $log."
  }
  rm -f "$log"
  say "installed $*"
}
