#!/usr/bin/env bash
# PID 1 of the control plane: etcd, API server, controller manager, scheduler.
set -euo pipefail
LIB=$(dirname "${BASH_SOURCE[0]}")
for part in settings report supervise; do
  # shellcheck source=/dev/null
  source "$LIB/$part.sh"
done

MACHINE=$CONTROL_PLANE
ETCD=http://127.0.0.1:2379

hostname "$CLUSTER_NAME-$MACHINE"
mount -t tmpfs -o mode=755 tmpfs /run

# No fsync: the data lives as long as the cluster, and disks of shared machines are slow at it.
supervise etcd etcd --data-dir="$CLUSTER_STATE/$MACHINE/etcd" --unsafe-no-fsync --log-level=warn \
  --listen-client-urls="$ETCD" --advertise-client-urls="$ETCD" \
  --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
  --initial-cluster=default=http://127.0.0.1:2380

# --enable-aggregator-routing: webhooks and services are reached at their pods, for no kube-proxy runs here.
# shellcheck disable=SC2086
supervise kube-apiserver kube-apiserver --etcd-servers="$ETCD" \
  --advertise-address="$CONTROL_PLANE_IP" --secure-port=6443 --service-cluster-ip-range="$SERVICE_NETWORK.0.0/16" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --client-ca-file="$PKI/ca.crt" --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP,Hostname \
  --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" \
  --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$PKI/service-accounts.pub" \
  --service-account-signing-key-file="$PKI/service-accounts.key" \
  --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- \
  --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key" \
  --enable-aggregator-routing=true $APISERVER_ARGS

# The two below exit when there is no API server, and would then come back only with the next restart.
wait_until "the API server, as seen from the control plane" "" \
  curl --silent --fail --cacert "$PKI/ca.crt" https://127.0.0.1:6443/readyz

credentials_of() {
  echo "--kubeconfig=$PKI/$1.kubeconfig --authentication-kubeconfig=$PKI/$1.kubeconfig --authorization-kubeconfig=$PKI/$1.kubeconfig"
}

# shellcheck disable=SC2046,SC2086
supervise kube-controller-manager kube-controller-manager $(credentials_of kube-controller-manager) \
  --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true --allocate-node-cidrs=false \
  --root-ca-file="$PKI/ca.crt" --client-ca-file="$PKI/ca.crt" --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
  --service-account-private-key-file="$PKI/service-accounts.key" $CONTROLLER_MANAGER_ARGS

# shellcheck disable=SC2046,SC2086
supervise kube-scheduler kube-scheduler $(credentials_of kube-scheduler) \
  --bind-address=127.0.0.1 --leader-elect=false $SCHEDULER_ARGS

reap_forever
