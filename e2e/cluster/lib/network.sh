# The cluster's network: one namespace for the control plane, with a bridge in it, and one for each node.
# shellcheck shell=bash
#
# No link leads to the machine's own namespace, so nothing gets out and nothing of the machine changes.

BRIDGE=nodes

# netns NAME: the network namespace of the control plane or of a node
netns() {
  case $1 in
    "$CONTROL_PLANE") echo "$CLUSTER_NAME-cp" ;;
    *) echo "$CLUSTER_NAME-$1" ;;
  esac
}

# in_netns NAME COMMAND...: only the network is the cluster's. (`ip netns exec` would also hide the machine's cgroups.)
in_netns() {
  local namespace
  namespace=/run/netns/$(netns "$1")
  shift
  nsenter --net="$namespace" -- "$@"
}

make_network() {
  local node
  ip netns add "$(netns "$CONTROL_PLANE")"
  claim_network
  in_netns "$CONTROL_PLANE" sh -euc "
    ip link set lo up
    ip link add $BRIDGE type bridge
    ip address add $CONTROL_PLANE_IP/24 dev $BRIDGE
    ip link set $BRIDGE up
    ip route add unreachable default
    echo 1 > /proc/sys/net/ipv4/ip_forward"
  for node in $(nodes); do attach_node "$node"; done
}

attach_node() {
  local node=$1 other routes=
  for other in $(nodes); do
    [[ $other == "$node" ]] || routes+="ip route add $(pod_cidr "$other") via $(node_ip "$other");"
  done
  ip netns add "$(netns "$node")"
  in_netns "$CONTROL_PLANE" sh -euc "
    ip link add $node type veth peer name eth0 netns $(netns "$node")
    ip link set $node master $BRIDGE up
    ip route add $(pod_cidr "$node") via $(node_ip "$node")"
  # Without a default route a node's own call to a ClusterIP fails before kube-proxy's rules see it.
  in_netns "$node" sh -euc "
    ip link set lo up
    ip address add $(node_ip "$node")/24 dev eth0
    ip link set eth0 up
    ip route add default via $CONTROL_PLANE_IP
    $routes
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter"
}

# The network knows whose it is, and so does every other checkout on this machine; a file could outlive it.
claim_network() {
  in_netns "$CONTROL_PLANE" ip link set lo alias "$CLUSTER_DIR"
}

# network_owner: the e2e/cluster folder that this cluster was started from; nothing when it is not up, or not
# for this user to see
network_owner() {
  [[ -e /run/netns/$(netns "$CONTROL_PLANE") ]] || return 0
  { in_netns "$CONTROL_PLANE" ip link show lo 2> /dev/null || true; } | sed -n 's/^ *alias //p'
}

# network_namespaces: those of this cluster that exist; more than n1..nN if another number was started
network_namespaces() {
  local path
  for path in /run/netns/"$CLUSTER_NAME"-*; do
    [[ ${path##*/} =~ ^"$CLUSTER_NAME"-(cp|n[0-9]+)$ ]] && echo "${path##*/}"
  done
  return 0
}

remove_network() {
  local namespace
  for namespace in $(network_namespaces); do ip netns delete "$namespace"; done
  # `ip netns` mounts its folder onto itself at the first use. It is busy as long as another's namespace is in it.
  if [[ -d /run/netns && -z $(ls -A /run/netns) ]]; then
    umount /run/netns 2> /dev/null || true
    rmdir /run/netns 2> /dev/null || true
  fi
}
