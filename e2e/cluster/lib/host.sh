# What the machine offers: packages of the distribution, room on its disks.
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

# enough_disk PATH GIB: whether the disk that PATH is on, or will be on, has so much free
enough_disk() {
  (($(df --output=avail --block-size=1G "$(existing_parent "$1")" | tail -n 1) >= $2))
}

existing_parent() {
  local path=$1
  while [[ ! -d $path ]]; do path=$(dirname "$path"); done
  echo "$path"
}
