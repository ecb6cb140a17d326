#!/usr/bin/env bash
# OpenLDAP with the data of the tests' Active Directory, for those who are not root. Needs the package slapd.
# It is no Active Directory: what a domain controller computes, tokenGroups for one, is stored here.
#
#   slapd.sh up [N]    loads the organization and N more servers, and starts it on 127.0.0.1:10389 (ldap, StartTLS)
#                      and 10636 (ldaps)
#   slapd.sh down
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$(cd "$here/../../.." && pwd)/target/real/slapd
# shellcheck source-path=SCRIPTDIR
. "$here/certificates.sh"

up() {
  down
  rm -rf "$home"
  mkdir -p "$home/data"
  cd "$home"
  make_certificates
  /usr/bin/python3 "$here/schema.py" slapd >exchange.schema
  /usr/bin/python3 "$here/organization.py" slapd "${1:-0}" >organization.ldif
  cat >root.ldif <<END
dn:
configurationNamingContext: CN=Configuration,DC=fourthcoffee,DC=test
defaultNamingContext: DC=fourthcoffee,DC=test
END
  cat >slapd.conf <<END
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include $home/exchange.schema
pidfile $home/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
rootDSE $home/root.ldif
TLSCertificateFile $certificates/server.pem
TLSCertificateKeyFile $certificates/server.key
# As a domain controller does: no page of more than 1,000 entries, and nothing in clear but the root.
sizelimit size=1000 size.prtotal=unlimited
access to attrs=userPassword by anonymous auth
access to dn.base="" by * read
access to dn.subtree="CN=Configuration,DC=fourthcoffee,DC=test"
  by dn.exact="CN=gus,CN=Users,DC=fourthcoffee,DC=test" search
  by users read
access to * by users read
referral ldap://127.0.0.1:1/
database mdb
suffix DC=fourthcoffee,DC=test
directory $home/data
maxsize 268435456
index objectClass,objectSid,sAMAccountName,userPrincipalName,proxyAddresses eq
END
  /usr/sbin/slapadd -q -f slapd.conf -l organization.ldif
  /usr/sbin/slapd -f slapd.conf -h 'ldap://127.0.0.1:10389 ldaps://127.0.0.1:10636'
  # A busy machine takes its time.
  for _ in {1..1200}; do
    ldapsearch -x -LLL -H ldap://127.0.0.1:10389 -s base -b '' 1.1 >/dev/null 2>&1 && return
    sleep 0.02
  done
  echo 'slapd did not come up'
  exit 1
}

down() {
  [[ -f $home/slapd.pid ]] || return 0
  local pid
  pid=$(<"$home/slapd.pid")
  # The number may be somebody else's by now.
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) == slapd ]] || return 0
  kill "$pid"
  for _ in {1..1200}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.02
  done
}

case ${1:-} in
  up) up "${2:-0}" ;;
  down) down ;;
  *) sed -n '2,8p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
