# shellcheck shell=bash
# To be sourced, with $home set: makes $home/certificates, an authority and a server that both scripts start.
certificates=$home/certificates

make_certificates() {
  mkdir -p "$certificates"
  local key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  openssl req -x509 "${key[@]}" -days 3650 -subj '/CN=Fourth Coffee Test CA' \
    -addext keyUsage=critical,keyCertSign -keyout "$certificates/ca.key" -out "$certificates/ca.pem" 2>/dev/null
  openssl req "${key[@]}" -subj /CN=dc1.fourthcoffee.test \
    -keyout "$certificates/server.key" -out "$certificates/server.csr" 2>/dev/null
  openssl x509 -req -in "$certificates/server.csr" -CA "$certificates/ca.pem" -CAkey "$certificates/ca.key" \
    -CAcreateserial -days 3650 -out "$certificates/server.pem" -extfile /dev/stdin 2>/dev/null <<END
basicConstraints=CA:FALSE
extendedKeyUsage=serverAuth
subjectAltName=DNS:dc1.fourthcoffee.test,DNS:localhost,IP:127.0.0.1,IP:127.0.88.1,IP:127.0.88.2,IP:127.0.88.3
END
  chmod 600 "$certificates"/*.key
}
