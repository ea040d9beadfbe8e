# What this machine must have, said all at once before anything starts; then the Debian packages it lacks.
# shellcheck shell=bash

# command or file -> Debian package
declare -A PACKAGES=(
  [runc]=runc [containerd]=containerd [ip]=iproute2 [nft]=nftables [iptables]=iptables [conntrack]=conntrack
  [ipset]=ipset [openssl]=openssl [curl]=curl [strip]=binutils [ps]=procps
  [/usr/lib/cni/ptp]=containernetworking-plugins
  [journalctl]=systemd [/usr/lib/systemd/systemd-journal-remote]=systemd-journal-remote
)

preflight() {
  local problems=()
  check_system
  check_programs
  check_cgroups
  check_disks
  if ((${#problems[@]})); then
    echo "This machine cannot run the local cluster yet:" >&2
    printf '  - %s\n' "${problems[@]}" >&2
    die "nothing was started. (With KUBECONFIG set to a cluster of your own, none of this is needed.)"
  fi
  install_packages
  check_kernel
}

check_system() {
  [[ $(uname -s) == Linux ]] || problems+=("The system is $(uname -s): a Linux machine is needed, a virtual one will do.")
  if [[ $(id -u) != 0 ]]; then
    problems+=("You are not root: run the same command with sudo (namespaces, cgroups and containers need it).")
  elif ! unshare --mount --uts --ipc --net --pid --fork true 2> /dev/null; then
    problems+=("Root may not make namespaces here: in a container, start that with --privileged.")
  fi
  local path
  for path in "$CLUSTER_DIR" "$CLUSTER_STATE" "$FORESHIFT_CACHE"; do
    [[ ! $path/ =~ ^/(run|var/lib|var/log)/ ]] ||
      problems+=("$path is hidden from the nodes, which have their own /${BASH_REMATCH[1]}: move it (CLUSTER_STATE and FORESHIFT_CACHE are settings).")
  done
}

check_programs() {
  local needed have missing
  needed=$(awk '$1 == "go" { print $2 }' "$CLUSTER_DIR"/*/go.mod | sort -V | tail -n 1)
  if ! command -v go > /dev/null; then
    problems+=("Go is missing: install Go $needed or later (https://go.dev/doc/install) and put it in PATH.")
  else
    have=$(GOTOOLCHAIN=local go env GOVERSION)
    [[ $(printf '%s\n' "$needed" "${have#go}" | sort -V | head -n 1) == "$needed" ]] ||
      problems+=("Go ${have#go} is too old: install Go $needed or later (https://go.dev/doc/install).")
  fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2> /dev/null ||
    problems+=("Python 3.9 or later is missing: apt-get install python3")
  missing=$(missing_packages)
  [[ -z $missing ]] || command -v apt-get > /dev/null ||
    problems+=("This is no Debian (no apt-get): install what your distribution calls ${missing//$'\n'/, }.")
}

check_cgroups() {
  local missing
  missing=$(cgroup_missing)
  if [[ -n $missing ]]; then
    problems+=("The kernel's cgroup controllers are not all there (missing: ${missing//$'\n'/, }): mount them, or in a container give it the host's cgroups.")
  elif [[ $(id -u) == 0 && ! -w $(cgroup_mount cpu) ]]; then
    problems+=("$(cgroup_mount cpu) is read-only: in a container, start that with --privileged.")
  fi
}

# A first build needs the space for Go's cache; the cluster itself needs little.
check_disks() {
  local need=2 path
  is_built kubernetes 2> /dev/null || need=8
  for path in "$FORESHIFT_CACHE" "$CLUSTER_STATE"; do
    enough_disk "$path" "$need" ||
      problems+=("The disk of $path has less than $need GiB free: make room, or set FORESHIFT_CACHE and CLUSTER_STATE to another disk.")
  done
  path=$(existing_parent "$CLUSTER_STATE")
  [[ $(id -u) != 0 || $SNAPSHOTTER != overlayfs ]] || can_overlay "$path" ||
    problems+=("No overlay mount works on the disk of $path: set CLUSTER_STATE to a folder on ext4 or xfs, or SNAPSHOTTER=native (slower).")
}

# In a mount namespace of its own, so that nothing stays mounted whatever happens.
can_overlay() {
  local scratch works=0
  scratch=$(mktemp -d "$1/.overlay.XXXXXX")
  mkdir "$scratch"/{lower,upper,work,merged}
  # shellcheck disable=SC2016
  unshare --mount sh -euc 'cd "$0" && mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged' \
    "$scratch" 2> /dev/null || works=1
  rm -rf "$scratch"
  return "$works"
}

missing_packages() {
  local need
  for need in "${!PACKAGES[@]}"; do
    command -v "$need" > /dev/null || [[ $need == */cni/* && -x /opt/cni/bin/ptp ]] || echo "${PACKAGES[$need]}"
  done | sort -u
}

install_packages() {
  local missing
  mapfile -t missing < <(missing_packages)
  ((!${#missing[@]})) || install_debian "the local cluster" "${missing[@]}"
}

# Needs the packages, so it comes after them; still nothing has been started.
check_kernel() {
  [[ $PROXY_MODE != nftables ]] || unshare --net nft add table ip probe 2> /dev/null ||
    die "the kernel has no nftables: set PROXY_MODE=iptables."
}
