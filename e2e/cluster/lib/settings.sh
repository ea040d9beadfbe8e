# Every setting of the local cluster, each to be overridden by an environment variable of its name.
# shellcheck shell=bash disable=SC2034
# What `up` started with is kept in its state folder, so that later commands agree with it.

CLUSTER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHECKOUT=$(cd "$CLUSTER_DIR/../.." && pwd)
FORESHIFT_CACHE=${FORESHIFT_CACHE:-$HOME/.cache/foreshift}  # programs, built once for all checkouts
CLUSTER_STATE=${CLUSTER_STATE:-$CLUSTER_DIR/state}          # everything the cluster writes; `down` removes it
SETTINGS_OF_UP=$CLUSTER_STATE/settings

SETTINGS=(
  CLUSTER_NAME CLUSTER_NODES NODE_CPU NODE_CPU_PERIOD NODE_MEMORY PROXY_MODE SNAPSHOTTER
  NODE_NETWORK POD_NETWORK SERVICE_NETWORK
  APISERVER_ARGS CONTROLLER_MANAGER_ARGS SCHEDULER_ARGS
  FORESHIFT_CACHE
)

# A command after `up` must not act on another cluster because a variable is not set any more.
# shellcheck disable=SC1090
[[ ! -r $SETTINGS_OF_UP ]] || source "$SETTINGS_OF_UP"

PROGRAMS=${PROGRAMS:-$FORESHIFT_CACHE/bin}   # the built Go programs, see build.sh
CLUSTER_NAME=${CLUSTER_NAME:-foreshift}      # prefix of network namespaces and cgroups
CLUSTER_NODES=${CLUSTER_NODES:-3}            # n1, n2, ...; at most 200
NODE_CPU=${NODE_CPU:-200m}                   # CPU quota of all pods of a node; "max" for none
NODE_CPU_PERIOD=${NODE_CPU_PERIOD:-100000}   # microseconds over which the quota is counted (the kernel's default)
NODE_MEMORY=${NODE_MEMORY:-max}              # memory limit of all pods of a node, for example 1G; "max" for none
PROXY_MODE=${PROXY_MODE:-nftables}           # kube-proxy: nftables or iptables
SNAPSHOTTER=${SNAPSHOTTER:-overlayfs}        # containerd: overlayfs, or native where overlayfs cannot be had
NODE_NETWORK=${NODE_NETWORK:-10.250.0}       # /24: .1 is the control plane, .10+i node i
POD_NETWORK=${POD_NETWORK:-10.244}           # /16: node i gets the /24 number i
SERVICE_NETWORK=${SERVICE_NETWORK:-10.96}    # /16 of ClusterIPs
APISERVER_ARGS=${APISERVER_ARGS:-}           # further flags, split at spaces
CONTROLLER_MANAGER_ARGS=${CONTROLLER_MANAGER_ARGS:-}
SCHEDULER_ARGS=${SCHEDULER_ARGS:-}
WAIT_SECONDS=${WAIT_SECONDS:-120}            # longest wait for one thing to become ready
BUILD_JOBS=${BUILD_JOBS:-2}                  # Go packages compiled at once; each takes up to 1 GiB of memory

CONTROL_PLANE=control-plane
CONTROL_PLANE_IP=$NODE_NETWORK.1
API_SERVER=https://$CONTROL_PLANE_IP:6443
PKI=$CLUSTER_STATE/pki
ADMIN_KUBECONFIG=$PKI/admin.kubeconfig
IMAGES=$CLUSTER_STATE/images                 # archives that every node imports

nodes() {
  seq -f 'n%.0f' 1 "$CLUSTER_NODES"
}

is_node() {
  [[ $1 =~ ^n([1-9][0-9]{0,2})$ ]] && ((BASH_REMATCH[1] <= CLUSTER_NODES))
}

node_ip() {
  echo "$NODE_NETWORK.$((10 + ${1#n}))"
}

pod_cidr() {
  echo "$POD_NETWORK.${1#n}.0/24"
}

# KUBECONFIG was set by the user, not by `cluster run`.
uses_own_cluster() {
  [[ -n ${KUBECONFIG:-} && $KUBECONFIG != "$ADMIN_KUBECONFIG" ]]
}

keep_settings() {
  declare -p "${SETTINGS[@]}" > "$SETTINGS_OF_UP"
}
