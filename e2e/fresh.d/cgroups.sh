# One cgroup in every hierarchy for all that `fresh` starts. It accounts the CPU time of all descendants, including
# daemons and pods, and lists the processes that the clean-up has to kill.
# shellcheck shell=bash

OWN_CGROUPS=()

# Below the cgroup of this shell, so that its limits stay in force.
make_own_cgroups() {
  local mount type name current folder
  while read -r _ mount type _; do
    [[ $mount/ == /sys/fs/cgroup/* && $type =~ ^cgroup2?$ ]] || continue
    name=${mount##*/}
    current=$(awk -F: -v name="$name" -v type="$type" '
      type == "cgroup2" ? $1 == 0 : $1 > 0 && ($2 == name || $2 == "name=" name) { print $3; exit }' /proc/self/cgroup)
    [[ -n $current ]] || die "/proc/self/cgroup has no line for the hierarchy $mount"
    folder=$mount${current%/}/foreshift-fresh-$$
    mkdir "$folder"
    OWN_CGROUPS+=("$folder")
    # A new v1 cpuset is empty and accepts no process.
    if [[ -e $folder/cpuset.mems && $type == cgroup ]]; then
      cat "${folder%/*}/cpuset.cpus" > "$folder/cpuset.cpus"
      cat "${folder%/*}/cpuset.mems" > "$folder/cpuset.mems"
    fi
  done < /proc/self/mounts
  ((${#OWN_CGROUPS[@]})) || die "no cgroup hierarchy is mounted in /sys/fs/cgroup"
}

join_own_cgroups() {
  local folder
  for folder in "${OWN_CGROUPS[@]}"; do echo "$BASHPID" > "$folder/cgroup.procs"; done
}

# cpu_used: microseconds, user and system
cpu_used() {
  local folder
  for folder in "${OWN_CGROUPS[@]}"; do
    if [[ -e $folder/cpuacct.usage ]]; then
      echo $(($(< "$folder/cpuacct.usage") / 1000))
      return
    fi
  done
  awk '$1 == "usage_usec" { print $2 }' "${OWN_CGROUPS[0]}/cpu.stat"
}

own_processes() {
  find "${OWN_CGROUPS[0]}" -name cgroup.procs -exec cat {} + 2> /dev/null || true
}

end_own_processes() {
  local pids deadline=$((SECONDS + 30))
  ((${#OWN_CGROUPS[@]})) || return 0
  while pids=$(own_processes) && [[ -n $pids ]]; do
    if ((SECONDS >= deadline)); then
      say "these processes do not exit: ${pids//$'\n'/ }"
      return 1
    fi
    # shellcheck disable=SC2086
    kill -KILL $pids 2> /dev/null || true
    sleep 0.1
  done
}

# Retries, because the kernel releases a cgroup some time after its last process has exited.
remove_own_cgroups() {
  local folder deadline=$((SECONDS + 10))
  for folder in "${OWN_CGROUPS[@]}"; do
    until find "$folder" -depth -type d -exec rmdir {} + 2> /dev/null; do
      if ((SECONDS >= deadline)); then
        say "cannot remove the cgroup $folder"
        return 1
      fi
      sleep 0.1
    done
  done
}
