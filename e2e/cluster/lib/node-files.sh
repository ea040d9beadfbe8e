# For the PID 1 of a node: what the node sees of the machine, and the files its daemons are configured by.
# shellcheck shell=bash

# own_folders FOLDER: /run, /var/lib and /var/log are the node's own, so every path is the standard one and
# nothing is written outside FOLDER. They outlive a power cut, except /run, just as on a real machine.
own_folders() {
  mkdir -p "$1"/{lib,var-log,cni}
  mount -t tmpfs -o mode=755 tmpfs /run
  mount --bind "$1/lib" /var/lib
  mount --bind "$1/var-log" /var/log
  mkdir -p /var/lib/{kubelet,containerd}
  # Volumes mounted by kubelet must appear in its pods. This is the node's own tree of mounts, not the machine's.
  mount --make-rshared /
}

# kubelet wants these settings, which belong to the whole machine. It is shown files with the right values instead.
pretend_sysctls() {
  local setting file
  mkdir /run/sysctl
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    [[ -e /proc/sys/${setting%=*} ]] || continue
    file=/run/sysctl/${setting//[\/=]/-}
    echo "${setting#*=}" > "$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
  done
}

# write_node_files NODE FOLDER
write_node_files() {
  local node=$1 folder=$2 plugins open_files
  plugins=/usr/lib/cni # Debian's place
  [[ -x $plugins/ptp ]] || plugins=/opt/cni/bin
  open_files=$(ulimit -Hn)
  [[ $open_files =~ ^[0-9]+$ ]] || open_files=1000000
  : > "$folder/resolv.conf"

  cat > "$folder/cni/10-pods.conflist" << JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": {
    "type": "host-local", "dataDir": "/run/cni-addresses",
    "ranges": [[{"subnet": "$(pod_cidr "$node")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}
JSON

  # The opt plugin would make /opt/containerd, which is the machine's. Without CAP_SYS_RESOURCE, which containers
  # on shared machines lack, negative OOM scores are refused.
  cat > "$folder/containerd.toml" << TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "foreshift.dev/pause:dev"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$SNAPSHOTTER"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$plugins"
    conf_dir = "$folder/cni"
TOML

  # clusterDNS: no DNS runs here, and an address that refuses at once is better than one that never answers.
  # kubeReserved: every node believes to have all of the machine's memory.
  cat > "$folder/kubelet.yaml" << YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CLUSTER_NAME/$node
failCgroupV1: false
enforceNodeAllocatable: [pods]
kubeReserved: {memory: 1Gi}
protectKernelDefaults: true
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: $open_files
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/$node.crt
tlsPrivateKeyFile: $PKI/$node.key
clusterDNS: [127.0.0.1]
clusterDomain: cluster.local
resolvConf: $folder/resolv.conf
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
volumePluginDir: /var/lib/kubelet/volume-plugins
YAML

  # conntrack: limits that belong to the whole machine and may not be set from a namespace.
  cat > "$folder/kube-proxy.yaml" << YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $PROXY_MODE
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
hostnameOverride: $node
clusterCIDR: $POD_NETWORK.0.0/16
bindAddress: 0.0.0.0
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
YAML
}
