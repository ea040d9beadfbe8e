# Container images: archives that every node's containerd imports. There is no registry.
# shellcheck shell=bash

# keep_images ARCHIVE...: for the nodes that start later; the last archive of a name counts
keep_images() {
  local archive name digest
  mkdir -p "$IMAGES"
  for archive; do
    [[ -r $archive ]] || die "no such image archive: $archive (\`$CHECKOUT/e2e/images/build\` makes the project's own)"
    name=$(basename "$archive" .tar)
    digest=$(sha256sum < "$archive")
    [[ $digest != "$(cat "$IMAGES/$name.sha256" 2> /dev/null)" ]] || continue
    cp --reflink=auto "$archive" "$IMAGES/$name.tar"
    echo "$digest" > "$IMAGES/$name.sha256"
  done
}

# load ARCHIVE...: into every node that is on, all at once
load() {
  local node failed=0
  local -A import=()
  keep_images "$@"
  for node in $(nodes); do
    is_running "$node" || { say "$node is off and imports when it is switched on" && continue; }
    (in_machine "$node" "$CLUSTER_DIR/lib/import-images.sh" "$node") &> "$CLUSTER_STATE/$node/log/images.log" &
    import[$node]=$!
  done
  for node in "${!import[@]}"; do
    wait "${import[$node]}" || {
      failed=1
      tail -n 5 "$CLUSTER_STATE/$node/log/images.log" >&2
    }
  done
  ((!failed)) || die "an image could not be imported; the reason is above."
  say "loaded $(basename -s .tar -a "$@" | xargs)"
}
