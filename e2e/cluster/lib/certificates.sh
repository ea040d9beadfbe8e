# The cluster's certificates and the kubeconfig of every program, in $PKI. Valid for a year; `up` makes new ones.
# shellcheck shell=bash

make_certificates() {
  local name node
  mkdir -p "$PKI"
  chmod 700 "$PKI"
  certificate_authority ca "$CLUSTER_NAME"
  certificate_authority front-proxy-ca "$CLUSTER_NAME-front-proxy"
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/service-accounts.key"
  openssl ec -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub" 2> /dev/null

  certificate apiserver ca /CN=kube-apiserver serverAuth \
    "IP:$SERVICE_NETWORK.0.1,IP:$CONTROL_PLANE_IP,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate apiserver-kubelet-client ca /CN=kube-apiserver-kubelet-client clientAuth
  certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
  certificate admin ca /O=system:masters/CN=admin clientAuth
  for name in kube-controller-manager kube-scheduler kube-proxy; do
    certificate "$name" ca "/CN=system:$name" clientAuth
  done
  for node in $(nodes); do
    certificate "$node" ca "/O=system:nodes/CN=system:node:$node" clientAuth,serverAuth "DNS:$node,IP:$(node_ip "$node")"
  done
  for name in admin kube-controller-manager kube-scheduler kube-proxy $(nodes); do
    kubeconfig "$name"
  done
}

# certificate_authority FILE COMMON-NAME
certificate_authority() {
  request -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "/CN=$2" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
}

# certificate FILE AUTHORITY SUBJECT USAGE [ALTERNATIVE-NAMES]
certificate() {
  request -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -keyout "$PKI/$1.key" -out "$PKI/$1.crt" -subj "$3" \
    -addext basicConstraints=critical,CA:FALSE -addext keyUsage=critical,digitalSignature \
    -addext "extendedKeyUsage=$4" ${5:+-addext "subjectAltName=$5"}
}

# A configuration of our own: the machine's openssl.cnf would add extensions.
request() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -utf8 \
    -config <(printf '[req]\ndistinguished_name=empty\n[empty]\n') "$@" 2> "$PKI/openssl.log" ||
    die "openssl could not make a certificate:" "$(< "$PKI/openssl.log")"
}

# kubeconfig NAME: for the certificate of that name, with everything in the one file
kubeconfig() {
  cat > "$PKI/$1.kubeconfig" << YAML
apiVersion: v1
kind: Config
current-context: $CLUSTER_NAME
contexts: [{name: $CLUSTER_NAME, context: {cluster: $CLUSTER_NAME, user: $1}}]
clusters:
- name: $CLUSTER_NAME
  cluster: {server: "$API_SERVER", certificate-authority-data: $(base64 -w 0 "$PKI/ca.crt")}
users:
- name: $1
  user: {client-certificate-data: $(base64 -w 0 "$PKI/$1.crt"), client-key-data: $(base64 -w 0 "$PKI/$1.key")}
YAML
}
