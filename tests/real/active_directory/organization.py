"""Fourth Coffee: the organization that the tests know.

    organization.py samba          LDIF for ldbmodify
    organization.py slapd [N]      LDIF for slapadd, with what Samba computes written out; N more servers in a site Bulk

| site      | servers                          | so that its users are                                       |
|-----------|----------------------------------|-------------------------------------------------------------|
| Seattle   | SEA-CAS-01, SEA-MBX-01, OLD-MBX-03 (2003) | served here; of OLD-MBX-03 sent to that back-end   |
| Dallas    | DAL-CAS-01, DAL-CAS-02, DAL-MBX-01 | proxied                                                   |
| London    | LON-CAS-01, LON-MBX-01           | redirected                                                  |
| Tokyo     | TOK-CAS-01 (Basic only), TOK-MBX-01 | told that no CAS is configured                           |
| Reykjavik | REY-MBX-01                       | told that no CAS responds                                   |
| Oslo      |                                  | nobody                                                      |
"""

import base64
import struct
import sys

DNS = "fourthcoffee.test"
BASE = "DC=fourthcoffee,DC=test"
CONFIGURATION = f"CN=Configuration,{BASE}"
ORGANIZATION = f"CN=Fourth Coffee,CN=Microsoft Exchange,CN=Services,{CONFIGURATION}"
GROUP = "Exchange Administrative Group (FYDIBOHF23SPDLT)"
ADMINISTRATIVE_GROUP = f"CN={GROUP},CN=Administrative Groups,{ORGANIZATION}"
LEGACY = f"/o=Fourth Coffee/ou={GROUP}"
PASSWORD = "Passw0rd!"

MAILBOX, CLIENT_ACCESS = 2, 4
BASIC, NTLM, FORMS, INTEGRATED = 1, 2, 4, 16
DISABLED, ENABLED = 0x10202, 0x10200  # Normal accounts whose password does not expire.
MACHINE = 0x1000
AES = 8 | 16

SITES = ["Seattle", "Dallas", "London", "Tokyo", "Reykjavik", "Oslo"]
# Name, site, roles, InternalURL, ExternalURL, authentication of the InternalURL.
SERVERS = [
    ("SEA-CAS-01", "Seattle", CLIENT_ACCESS, f"https://sea-cas-01.{DNS}/owa", f"https://mail.{DNS}/owa", BASIC | FORMS),
    ("SEA-MBX-01", "Seattle", MAILBOX, None, None, 0),
    ("DAL-CAS-01", "Dallas", CLIENT_ACCESS, f"https://dal-cas-01.{DNS}/owa", None, NTLM | INTEGRATED),
    ("DAL-CAS-02", "Dallas", CLIENT_ACCESS, f"https://dal-cas-02.{DNS}/owa", None, INTEGRATED),
    ("DAL-MBX-01", "Dallas", MAILBOX, None, None, 0),
    ("LON-CAS-01", "London", CLIENT_ACCESS, f"https://lon-cas-01.{DNS}/owa", f"https://mail.london.{DNS}/owa", BASIC | FORMS),
    ("LON-MBX-01", "London", MAILBOX, None, None, 0),
    ("TOK-CAS-01", "Tokyo", CLIENT_ACCESS, f"https://tok-cas-01.{DNS}/owa", None, BASIC),
    ("TOK-MBX-01", "Tokyo", MAILBOX, None, None, 0),
    ("REY-MBX-01", "Reykjavik", MAILBOX, None, None, 0),
]
LEGACY_SERVER = "OLD-MBX-03"

# What browsers and other CASs ask tickets for; the second CAS of the tests is on this machine.
SERVICES = {name: [f"HTTP/{name.lower()}.{DNS}"] for name, _, roles, *_ in SERVERS if roles & CLIENT_ACCESS}
SERVICES["DAL-CAS-01"].append("HTTP/localhost")
# By which name a domain controller is asked is for its clients to choose; the addresses are those of samba.sh.
CONTROLLER_SERVICES = [f"ldap/{host}" for host in (f"dc1.{DNS}", "127.0.88.1", "127.0.88.2", "127.0.88.3")]

# Account, mailbox server, further addresses.
USERS = [
    ("anna", "SEA-MBX-01", []),
    ("bert", "DAL-MBX-01", ["smtp:bertram@fourthcoffee.test", "SIP:bert@fourthcoffee.test", "X400:c=US;a= ;p=Fourth;s=bert;"]),
    ("clara", "LON-MBX-01", []),
    ("dora", LEGACY_SERVER, []),
    ("emil", "REY-MBX-01", []),
    ("finn", "TOK-MBX-01", []),
    ("gus", None, []),
    ("hana", "DAL-MBX-01", []),  # Signs in with an account of another forest.
    ("ivan", "SEA-MBX-01", ["smtp:info@fourthcoffee.test"]),
    ("irma", "DAL-MBX-01", ["smtp:info@fourthcoffee.test"]),
    ("jan", "GONE-MBX-01", []),  # On a server that is no longer in the directory.
    ("lena", "NEW-MBX-01", []),  # On a server that a test adds.
    ("mia", "SEA-MBX-01", []),  # Moved about by the tests.
    ("o'hara (1)*", "DAL-MBX-01", []),
    ("nils", None, []),
    ("sales", "LON-MBX-01", []),  # A shared mailbox, linked by a test to a user who has one.
]
# What Samba does not let happen, and Windows did: olga, who is disabled, has pia's account name as principal name.
CONFUSED = [("olga", None, []), ("pia", "SEA-MBX-01", [])]
PRINCIPALS = {"olga": "pia", "pia": "pia.p"}
LINKED = {"hana": (5, 21, 1111111111, 2222222222, 333333333, 1107)}
# Each within the next one.
GROUPS = [("Baristas", "CN=bert"), ("Kitchen", "CN=Baristas"), ("Coffee Staff", "CN=Kitchen")]
DOMAIN = (5, 21, 1004336348, 1177238915, 682003330)


def sid(authority, *parts):
    return struct.pack(">BB", 1, len(parts)) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)


def account(name):
    """The name an account signs in with: Windows allows less in it than in others."""
    return "".join(sign for sign in name if sign.isalnum())


def version(number):
    return {"versionNumber": 7 << 28 | 8 << 22 | 1 << 16 | 1 << 15 | number, "serialNumber": f"Version 8.1 (Build 30{number}.6)"}


class Ldif:
    def __init__(self, slapd):
        self.slapd = slapd

    def add(self, dn, *classes, **attributes):
        lines = [f"dn: {dn}"] + ([] if self.slapd else ["changetype: add"])
        lines += [f"objectClass: {name}" for name in classes]
        if self.slapd:
            kind, _, value = dn.split(",")[0].partition("=")
            attributes[kind.lower()] = value
        for name, values in attributes.items():
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, bytes):
                    lines.append(f"{name}:: {base64.b64encode(value).decode()}")
                elif value is not None:
                    lines.append(f"{name}: {value}")
        print("\n".join(lines) + "\n")


def server(ldif, name, site, attributes):
    dn = f"CN={name},CN=Servers,{ADMINISTRATIVE_GROUP}"
    ldif.add(dn, "msExchExchangeServer", legacyExchangeDN=f"{LEGACY}/cn=Configuration/cn=Servers/cn={name}",
             networkAddress=[f"netbios:{name}", f"ncacn_ip_tcp:{name.lower()}.{DNS}"],
             msExchServerSite=site and f"CN={site},CN=Sites,{CONFIGURATION}", **attributes)
    ldif.add(f"CN=Protocols,{dn}", "msExchProtocolCfgProtocolContainer")
    ldif.add(f"CN=HTTP,CN=Protocols,{dn}", "msExchProtocolCfgHTTPContainer")
    return dn


def virtual_directory(ldif, dn, internal, external, methods):
    ldif.add(f"CN=owa (Default Web Site),CN=HTTP,CN=Protocols,{dn}", "msExchOWAVirtualDirectory",
             msExchInternalHostName=internal, msExchExternalHostName=external,
             msExchInternalAuthenticationMethods=methods)


def store(ldif, dn):
    ldif.add(f"CN=InformationStore,{dn}", "msExchInformationStore")
    ldif.add(f"CN=First Storage Group,CN=InformationStore,{dn}", "msExchStorageGroup")
    ldif.add(f"CN=Mailbox Database,CN=First Storage Group,CN=InformationStore,{dn}", "msExchPrivateMDB",
             msExchOwningServer=dn)


def servers(ldif):
    for site in SITES:
        ldif.add(f"CN={site},CN=Sites,{CONFIGURATION}", "site")
    ldif.add(f"CN=Microsoft Exchange,CN=Services,{CONFIGURATION}", "msExchConfigurationContainer")
    ldif.add(ORGANIZATION, "msExchOrganizationContainer", legacyExchangeDN="/o=Fourth Coffee")
    ldif.add(f"CN=Administrative Groups,{ORGANIZATION}", "msExchAdminGroupContainer")
    ldif.add(ADMINISTRATIVE_GROUP, "msExchAdminGroup", legacyExchangeDN=LEGACY)
    ldif.add(f"CN=Servers,{ADMINISTRATIVE_GROUP}", "msExchServersContainer")
    for name, site, roles, internal, external, methods in SERVERS:
        dn = server(ldif, name, site, {"msExchCurrentServerRoles": roles, **version(240)})
        if roles & CLIENT_ACCESS:
            virtual_directory(ldif, dn, internal, external, methods)
        if roles & MAILBOX:
            store(ldif, dn)
    dn = server(ldif, LEGACY_SERVER, None, {
        "versionNumber": 7638, "serialNumber": "Version 6.5 (Build 7638.2: Service Pack 2)"})
    ldif.add(f"CN=Exchange,CN=HTTP,CN=Protocols,{dn}", "msExchProtocolCfgHTTPVirtualDirectory",
             msExchAuthenticationFlags=2 | 4)
    store(ldif, dn)


def database(name):
    return f"CN=Mailbox Database,CN=First Storage Group,CN=InformationStore,CN={name},CN=Servers,{ADMINISTRATIVE_GROUP}"


def users(ldif):
    known = {name for name, *_ in SERVERS} | {LEGACY_SERVER}
    for number, (name, mailbox, addresses) in enumerate(USERS + (CONFUSED if ldif.slapd else [])):
        sam = account(name)
        attributes = {
            "sAMAccountName": sam, "userPrincipalName": f"{PRINCIPALS.get(name, name)}@{DNS}", "mail": f"{sam}@{DNS}",
            "userAccountControl": DISABLED if name in LINKED or name == "olga" else ENABLED,
        }
        if name in LINKED:
            master = LINKED[name]
            # Samba's tools take the text of a SID, and choke on the bytes of this one.
            attributes["msExchMasterAccountSid"] = sid(*master) if ldif.slapd else "S-1-" + "-".join(map(str, master))
        if mailbox:
            attributes |= {
                "homeMDB": database(mailbox) if mailbox in known else None,
                "msExchHomeServerName": f"{LEGACY}/cn=Configuration/cn=Servers/cn={mailbox}",
                "legacyExchangeDN": f"{LEGACY}/cn=Recipients/cn={sam}",
                "proxyAddresses": [f"SMTP:{sam}@{DNS}", *addresses], "mailNickname": sam,
            }
        person(ldif, f"CN={sam},CN=Users,{BASE}", 1200 + number, attributes, [1300, 1301, 1302] if name == "bert" else [])
    person(ldif, f"CN=svc-cas-proxy,CN=Users,{BASE}", 1299, {
        "sAMAccountName": "svc-cas-proxy", "userPrincipalName": f"svc-cas-proxy@{DNS}", "userAccountControl": ENABLED}, [])
    for number, (name, member) in enumerate(GROUPS):
        extra = {"objectSid": sid(*DOMAIN, 1300 + number)} if ldif.slapd else {"groupType": -2147483646 if number == 0 else -2147483640}
        ldif.add(f"CN={name},CN=Users,{BASE}", "group", sAMAccountName=name, member=f"{member},CN=Users,{BASE}", **extra)


def person(ldif, dn, number, attributes, groups):
    if ldif.slapd:
        attributes |= {
            "objectCategory": "person", "objectSid": sid(*DOMAIN, number), "userPassword": PASSWORD,
            "tokenGroups": [sid(*DOMAIN, group) for group in [513, *groups]]}
    else:
        attributes["unicodePwd"] = password()
    ldif.add(dn, "user", **attributes)


def machines(ldif):
    for name, services in SERVICES.items():
        ldif.add(f"CN={name},CN=Computers,{BASE}", "computer", sAMAccountName=f"{name}$", userAccountControl=MACHINE,
                 dNSHostName=f"{name.lower()}.{DNS}", servicePrincipalName=services, unicodePwd=password(),
                 **{"msDS-SupportedEncryptionTypes": AES})
    print(f"dn: CN=DC1,OU=Domain Controllers,{BASE}", "changetype: modify", "add: servicePrincipalName",
          *(f"servicePrincipalName: {service}" for service in CONTROLLER_SERVICES), "", sep="\n")


def password():
    return f'"{PASSWORD}"'.encode("utf-16-le")


def around_it(ldif):
    """What every Active Directory has, and an empty slapd does not."""
    ldif.add(BASE, "domain", dc="fourthcoffee")
    for dn in [f"CN=Users,{BASE}", CONFIGURATION, *(f"CN={name},{CONFIGURATION}" for name in ("Sites", "Services", "Partitions"))]:
        ldif.add(dn, "container")
    ldif.add(f"CN=FOURTHCOFFEE,CN=Partitions,{CONFIGURATION}", "crossRef", nCName=BASE, nETBIOSName="FOURTHCOFFEE", dnsRoot=DNS)


def main(target, bulk=0):
    ldif = Ldif(slapd=target == "slapd")
    if ldif.slapd:
        around_it(ldif)
    servers(ldif)
    for number in range(int(bulk)):
        name = f"BULK-{number:04}"
        dn = server(ldif, name, "Bulk", {"msExchCurrentServerRoles": CLIENT_ACCESS, **version(240)})
        virtual_directory(ldif, dn, f"https://{name.lower()}.{DNS}/owa", None, INTEGRATED)
    users(ldif)
    if not ldif.slapd:
        machines(ldif)


if __name__ == "__main__":
    main(*sys.argv[1:])
