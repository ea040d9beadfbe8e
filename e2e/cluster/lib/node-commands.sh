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
  # The network namespace still holds what a real power cut would have emptied.
  in_netns "$1" nft flush ruleset
  remove_pod_links "$1"
  in_netns "$CONTROL_PLANE" ip link set "$1" up
  start_machine "$1" "$CLUSTER_DIR/lib/node.sh" "$1"
  wait_until_ready "$1"
  say "$1 is on and Ready"
}

# The kernel takes its time to remove the links of dead pods, and then takes the route of a new pod that has got the
# same address along.
remove_pod_links() {
  local link
  for link in $(in_netns "$1" ip -oneline link show type veth | awk -F '[:@ ]+' '$2 != "eth0" { print $2 }'); do
    in_netns "$1" ip link delete "$link" 2> /dev/null || true
  done
}

node_cpu() {
  cgroup_set_cpu "$1" "$2" ||
    die "the kernel refused a quota of $2 for $1 (with cgroup v1, no pod's own CPU limit may be above it)."
  say "$1 now has a CPU quota of $2"
}

is_off() {
  ! is_running "$1"
}
