# A node's cgroup: its pods live below it, so its CPU quota and memory limit are the node's.
# shellcheck shell=bash
#
# Two kinds of machine are supported:
#   v1      one hierarchy per controller (also "hybrid", with an empty v2 tree beside them). This is what all
#           of the project's figures were taken on.
#   v2      one unified hierarchy. Written by the kernel's rules (Documentation/admin-guide/cgroup-v2.rst) and
#           not exercised yet.
# kubelet, containerd and kube-proxy stay outside: a saturated node must still be able to follow the cluster.

CGROUP_CONTROLLERS_V2=(cpu cpuset memory pids io)

cgroup_version() {
  if [[ -n $(v1_hierarchies) ]]; then echo 1; else echo 2; fi
}

# cgroup_folder NODE CONTROLLER
cgroup_folder() {
  echo "$(cgroup_mount "$2")/$CLUSTER_NAME/$1"
}

cgroup_create() {
  local node=$1 hierarchy folder
  if [[ $(cgroup_version) == 1 ]]; then
    while read -r hierarchy; do
      for folder in "$hierarchy/$CLUSTER_NAME" "$hierarchy/$CLUSTER_NAME/$node"; do
        mkdir -p "$folder"
        # A new v1 cpuset is empty and takes no process until it is told its CPUs and memory nodes.
        [[ ! -e $folder/cpuset.cpus ]] || {
          cat "$hierarchy/cpuset.cpus" > "$folder/cpuset.cpus"
          cat "$hierarchy/cpuset.mems" > "$folder/cpuset.mems"
        }
      done
    done < <(v1_hierarchies)
  else
    local root
    root=$(cgroup_mount cpu)
    mkdir -p "$root/$CLUSTER_NAME/$node"
    # A controller works in a cgroup when every cgroup above it hands it down. kubelet does so from here on.
    for folder in "$root" "$root/$CLUSTER_NAME"; do
      printf '+%s ' "${CGROUP_CONTROLLERS_V2[@]}" > "$folder/cgroup.subtree_control"
    done
  fi
}

# cgroup_set_cpu NODE QUOTA: QUOTA in Kubernetes' notation (300m, 1.5) or "max"
cgroup_set_cpu() {
  local folder millis quota=-1
  folder=$(cgroup_folder "$1" cpu)
  if [[ $2 != max ]]; then
    millis=$(millicores "$2") || return
    quota=$((millis * NODE_CPU_PERIOD / 1000))
    ((quota >= 1000)) || quota=1000 # the kernel takes no less than a millisecond
  fi
  if [[ $(cgroup_version) == 1 ]]; then
    echo "$NODE_CPU_PERIOD" > "$folder/cpu.cfs_period_us"
    echo "$quota" > "$folder/cpu.cfs_quota_us"
  else
    echo "${quota/#-1/max} $NODE_CPU_PERIOD" > "$folder/cpu.max"
  fi
}

# cgroup_set_memory NODE LIMIT: bytes with a suffix K, M or G, or "max"
cgroup_set_memory() {
  local folder
  folder=$(cgroup_folder "$1" memory)
  if [[ $(cgroup_version) == 1 ]]; then
    echo "${2/#max/-1}" > "$folder/memory.limit_in_bytes"
  else
    echo "$2" > "$folder/memory.max"
  fi
}

# cgroup_read_cpu NODE: "QUOTA USED PERIODS THROTTLED": millicores (or "max"), microseconds, counts
cgroup_read_cpu() {
  local folder quota period used
  folder=$(cgroup_folder "$1" cpu)
  if [[ $(cgroup_version) == 1 ]]; then
    quota=$(< "$folder/cpu.cfs_quota_us") period=$(< "$folder/cpu.cfs_period_us")
    used=$(($(< "$(cgroup_folder "$1" cpuacct)/cpuacct.usage") / 1000))
  else
    read -r quota period < "$folder/cpu.max"
    used=$(awk '$1 == "usage_usec" { print $2 }' "$folder/cpu.stat")
  fi
  case $quota in
    -1 | max) quota=max ;;
    *) quota=$((quota * 1000 / period)) ;;
  esac
  awk -v quota="$quota" -v used="$used" '{ value[$1] = $2 }
    END { print quota, used, value["nr_periods"] + 0, value["nr_throttled"] + 0 }' "$folder/cpu.stat"
}

# cgroup_clear [NODE]: removes what is below the node's cgroup; without NODE, everything of the cluster
cgroup_clear() {
  local deadline=$((SECONDS + 20))
  until remove_cgroups "$@"; do
    ((SECONDS < deadline)) || die "the kernel does not let go of cgroups of $CLUSTER_NAME: processes hang in them."
    sleep 0.1
  done
}

# Fails while one is left: a cgroup can be removed only when its last process is gone.
remove_cgroups() {
  local folders
  mapfile -t folders < <(cgroups_of_cluster "$@")
  ((${#folders[@]})) || return 0
  rmdir -- "${folders[@]}" 2> /dev/null
}

# cgroups_of_cluster [NODE]: the cluster's cgroup folders (or those below NODE's), the innermost first
cgroups_of_cluster() {
  local mount folder
  while read -r mount; do
    folder=$mount/$CLUSTER_NAME${1:+/$1}
    [[ ! -d $folder ]] || find "$folder" -depth ${1:+-mindepth 1} -type d
  done < <(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/self/mounts)
}

# cgroup_missing: the controllers that are needed and not there
cgroup_missing() {
  local controller needed=(cpu cpuacct cpuset memory pids devices freezer)
  [[ $(cgroup_version) == 1 ]] || needed=("${CGROUP_CONTROLLERS_V2[@]}")
  for controller in "${needed[@]}"; do
    [[ -n $(cgroup_mount "$controller") ]] || echo "$controller"
  done
}

# cgroup_mount CONTROLLER: the mount point of its hierarchy, nothing when there is none
cgroup_mount() {
  awk -v controller="$1" '
    $3 == "cgroup" && ("," $4 ",") ~ ("," controller ",") { print $2; found = 1; exit }
    $3 == "cgroup2" { unified = $2 }
    END {
      if (found || unified == "") exit
      getline available < (unified "/cgroup.controllers")
      if ((" " available " ") ~ (" " controller " ")) print unified
    }' /proc/self/mounts
}

# systemd's own named hierarchy, too: container runtimes make their groups in every one.
v1_hierarchies() {
  awk '$3 == "cgroup" { print $2 }' /proc/self/mounts
}

# millicores QUANTITY: 300m -> 300, 1.5 -> 1500
millicores() {
  [[ $1 =~ ^([0-9]+m|[0-9]+(\.[0-9]+)?)$ ]] || {
    echo "cluster: \"$1\" is not an amount of CPU; write for example 300m, 1.5 or max" >&2
    return 1
  }
  awk -v q="$1" 'BEGIN { printf "%d\n", (q ~ /m$/) ? q + 0 : q * 1000 + 0.5 }'
}
