#!/usr/bin/env bash
# PID 1 of a node: containerd, kubelet, kube-proxy. Usage: node.sh NAME
set -euo pipefail
LIB=$(dirname "${BASH_SOURCE[0]}")
for part in settings report supervise node-files; do
  # shellcheck source=/dev/null
  source "$LIB/$part.sh"
done

MACHINE=$1
HOME_OF_NODE=$CLUSTER_STATE/$MACHINE

hostname "$MACHINE"
own_folders "$HOME_OF_NODE"
pretend_sysctls
write_node_files "$MACHINE" "$HOME_OF_NODE"

supervise containerd containerd --config "$HOME_OF_NODE/containerd.toml"
wait_until containerd "$HOME_OF_NODE/log/containerd.log" ctr version
"$LIB/import-images.sh" "$MACHINE" &>> "$HOME_OF_NODE/log/images.log"
supervise kubelet kubelet --config="$HOME_OF_NODE/kubelet.yaml" --kubeconfig="$PKI/$MACHINE.kubeconfig" \
  --hostname-override="$MACHINE" --node-ip="$(node_ip "$MACHINE")" --v=2
supervise kube-proxy kube-proxy --config="$HOME_OF_NODE/kube-proxy.yaml"

reap_forever
