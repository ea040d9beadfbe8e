# The cluster's life: up and down.
# shellcheck shell=bash

up() {
  refuse_foreign_cluster
  if is_up; then
    say "already up: $(nodes | xargs), state in $CLUSTER_STATE"
    return
  fi
  preflight
  build kubernetes
  "$CHECKOUT/e2e/images/build" pause > /dev/null
  lock
  if is_up; then
    say "already up, started by another command meanwhile"
    return
  fi
  if [[ -e $CLUSTER_STATE || -n $(network_namespaces)$(cgroups_of_cluster) ]]; then
    say "clearing what an unfinished start or a reboot has left"
    clear_all
  fi
  mkdir -p "$CLUSTER_STATE"
  keep_settings
  keep_images "$CHECKOUT/target/images/pause.tar"
  make_certificates
  make_network
  local node
  for node in $(nodes); do
    cgroup_create "$node"
    cgroup_set_cpu "$node" "$NODE_CPU"
    cgroup_set_memory "$node" "$NODE_MEMORY"
  done
  say "certificates, network and cgroups made"

  start_machine "$CONTROL_PLANE" "$CLUSTER_DIR/lib/control-plane.sh"
  for node in $(nodes); do start_machine "$node" "$CLUSTER_DIR/lib/node.sh" "$node"; done
  wait_until "the API server" "$CLUSTER_STATE/$CONTROL_PLANE/log/kube-apiserver.log" admin kubectl get --raw /readyz
  say "API server ready"
  register
  for node in $(nodes); do wait_until_ready "$node"; done
  say "$CLUSTER_NODES nodes Ready"
  wait_until "the default service account" "$CLUSTER_STATE/$CONTROL_PLANE/log/kube-controller-manager.log" \
    admin kubectl --namespace default get serviceaccount default
  : > "$CLUSTER_STATE/up"
  say "up: pods can be made; \`$CLUSTER_DIR/cluster kubectl get nodes\`"
}

down() {
  require_root
  refuse_foreign_cluster
  lock
  clear_all
  say "down; left: $(network_namespaces | wc -l) network namespaces, $(cgroups_of_cluster | wc -l) cgroups," \
    "$(grep -cF " $CLUSTER_STATE" /proc/self/mounts || true) mounts, $(find "$CLUSTER_STATE" 2> /dev/null | wc -l) files"
}

is_up() {
  [[ -e $CLUSTER_STATE/up ]] && is_running "$CONTROL_PLANE"
}

require_root() {
  [[ $(id -u) == 0 ]] || die "you are not root: run the same command with sudo."
}

require_up() {
  require_root
  is_up || die "the cluster is not up; start it with: $CLUSTER_DIR/cluster up"
}

# Goes by the names of namespaces and cgroups alone, so that it works whatever was left, even without a state folder.
clear_all() {
  # shellcheck disable=SC2046
  kill_machine $(network_namespaces)
  cgroup_clear
  remove_network
  rm -rf --one-file-system "$CLUSTER_STATE"
}

# What the API server must know before the first node can serve it. The pod ranges are what make_network routes.
register() {
  local node
  {
    for node in $(nodes); do
      cat << YAML
---
apiVersion: v1
kind: Node
metadata: {name: $node}
spec: {podCIDR: $(pod_cidr "$node"), podCIDRs: ["$(pod_cidr "$node")"]}
YAML
    done
    # For logs, exec and port-forward.
    cat << YAML
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: apiserver-to-kubelets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:kubelet-api-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: kube-apiserver-kubelet-client}]
YAML
  } > "$CLUSTER_STATE/$CONTROL_PLANE/register.yaml"
  # Again and again, because the API server answers before it has made its own roles.
  wait_until "the API server to take the nodes" "$CLUSTER_STATE/$CONTROL_PLANE/log/kube-apiserver.log" \
    admin kubectl apply --server-side --force-conflicts --field-manager=cluster-up -f "$CLUSTER_STATE/$CONTROL_PLANE/register.yaml"
}

wait_until_ready() {
  local log=$CLUSTER_STATE/$1/log
  wait_until "kubelet of $1" "$log/kubelet.log" in_netns "$1" curl --silent --fail http://127.0.0.1:10248/healthz
  wait_until "$1 to be Ready" "$log/kubelet.log" is_ready "$1"
}

is_ready() {
  [[ $(admin kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# One command at a time changes the cluster. The lock is on a folder, so no lock file remains.
lock() {
  flock --timeout 60 "$LOCK" || die "another cluster command is at work in $CLUSTER_DIR; wait for it or end it."
}

# Another checkout may have a cluster of this name up. What is left of one that runs no more, or whose checkout is
# gone, is ours to end.
refuse_foreign_cluster() {
  local owner
  owner=$(network_owner)
  [[ -z $owner || $owner == "$CLUSTER_DIR" || ! -x $owner/cluster ]] || ! is_running "$CONTROL_PLANE" || die \
    "a cluster named \"$CLUSTER_NAME\" is up from another checkout: $owner" \
    "end it with: $owner/cluster down" \
    "or give this one another name: CLUSTER_NAME=$CLUSTER_NAME-2 $CLUSTER_DIR/cluster up"
}
