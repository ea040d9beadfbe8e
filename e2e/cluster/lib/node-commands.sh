# What can be done to one node of the cluster that is up.
# shellcheck shell=bash

# Pulls the plug: every process is gone at once, and nobody answers at the node's address any more.
node_off() {
  local init
  init=$(init_of "$1")
  [[ -n $init ]] || die "$1 is off already."
  in_netns "$CONTROL_PLANE" ip link set "$1" down
  kill -KILL "$init"
  wait_until "$1 to go off" "" is_off "$1"
  cgroup_clear "$1"
  say "$1 is off; the API server notices in some 50 s"
}

node_on() {
  ! is_running "$1" || die "$1 is on already."
  # The old rules of kube-proxy are still in the network namespace, which a real power cut would have emptied.
  in_netns "$1" nft flush ruleset
  in_netns "$CONTROL_PLANE" ip link set "$1" up
  start_machine "$1" "$CLUSTER_DIR/lib/node.sh" "$1"
  wait_until_ready "$1"
  say "$1 is on and Ready"
}

node_cpu() {
  cgroup_set_cpu "$1" "$2" ||
    die "the kernel refused a quota of $2 for $1 (with cgroup v1, no pod's own CPU limit may be above it)."
  say "$1 now has a CPU quota of $2"
}

is_off() {
  ! is_running "$1"
}
