"""The part of Exchange's directory schema that finding a mailbox takes.

    schema.py FOLDER    for Samba: LDIF files, to be loaded in the order of their names, a transaction each
    schema.py slapd     for OpenLDAP: one schema file on standard output

Clients ask by name. So where no object identifier is published, one below an arc of our own stands in for it.
"""

import sys
from pathlib import Path

BASE = "DC=fourthcoffee,DC=test"
OWN = "1.2.840.113556.1.8000.2554.40417.21733.9088.16852.41310.1184521.9035172"
EXCHANGE = "1.2.840.113556.1.4.7000.102"
CLASS = "1.2.840.113556.1.5.7000.62"

# Syntaxes: attributeSyntax, oMSyntax; and OpenLDAP's equality rule and syntax.
SYNTAXES = {
    "text": ("2.5.5.12", 64, "caseIgnoreMatch", 15),
    "number": ("2.5.5.9", 2, "integerMatch", 27),
    "long": ("2.5.5.16", 65, "integerMatch", 27),
    "bytes": ("2.5.5.10", 4, "octetStringMatch", 40),
    "sid": ("2.5.5.17", 4, "octetStringMatch", 40),
    "name": ("2.5.5.1", 127, "distinguishedNameMatch", 12),
}

# Name, object identifier, syntax, and: indexed, multi-valued, link ID.
ATTRIBUTES = """
homeMDB                              1.2.840.113556.1.2.244  name   link=32
homeMDBBL                            1.2.840.113556.1.2.393  name   link=33 multi
mailNickname                         1.2.840.113556.1.2.447  text   index
msExchHomeServerName                 {e}.47                  text   index
msExchMasterAccountSid               {e}.81                  sid    index
msExchMailboxGuid                    {e}.11058               bytes  index
msExchOwningServer                   {e}.11004               name
msExchAuthenticationFlags            {e}.2003                number
msExchRecipientTypeDetails           {e}.50855               long   index
msExchInternalHostName               {o}.1                   text
msExchExternalHostName               {o}.2                   text
msExchInternalAuthenticationMethods  {o}.3                   number
msExchExternalAuthenticationMethods  {o}.4                   number
msExchServerSite                     {o}.5                   name
msExchCurrentServerRoles             {o}.6                   number
msExchVersion                        {o}.7                   long
""".format(e=EXCHANGE, o=OWN)

# Name, identifier below CLASS, superclass | where it may stand | what it may hold. In an order that loads.
CLASSES = """
msExchOrganizationContainer            50020 container                      | msExchConfigurationContainer | legacyExchangeDN
msExchAdminGroupContainer              50019 container                      | msExchOrganizationContainer |
msExchAdminGroup                       50011 top                            | msExchAdminGroupContainer | legacyExchangeDN
msExchServersContainer                 50013 container                      | msExchAdminGroup |
msExchExchangeServer                   50009 server                         | msExchServersContainer | legacyExchangeDN networkAddress serialNumber versionNumber msExchServerSite msExchCurrentServerRoles msExchVersion
msExchInformationStore                 11001 container                      | msExchExchangeServer |
msExchStorageGroup                     11006 container                      | msExchInformationStore |
msExchMDB                              11002 top                            | msExchStorageGroup | msExchOwningServer legacyExchangeDN homeMDBBL
msExchPrivateMDB                       11004 msExchMDB                      | msExchStorageGroup |
msExchProtocolCfgProtocolContainer     2000  container                      | msExchExchangeServer |
msExchProtocolCfgHTTPContainer         14001 container                      | msExchProtocolCfgProtocolContainer |
msExchVirtualDirectory                 50060 top                            | msExchProtocolCfgHTTPContainer | msExchInternalHostName msExchExternalHostName msExchInternalAuthenticationMethods msExchExternalAuthenticationMethods msExchVersion
msExchOWAVirtualDirectory              50087 msExchVirtualDirectory         | msExchProtocolCfgHTTPContainer |
msExchProtocolCfgHTTPVirtualDirectory  15001 top                            | msExchProtocolCfgHTTPContainer | msExchAuthenticationFlags
"""

# What Exchange's setup adds to the class of users.
USER = "homeMDB mailNickname msExchHomeServerName msExchMasterAccountSid msExchMailboxGuid msExchRecipientTypeDetails msExchVersion".split()


def attributes():
    for line in ATTRIBUTES.split("\n")[1:-1]:
        name, identifier, syntax, *rest = line.split()
        yield name, identifier, syntax, rest


def classes():
    for line in CLASSES.split("\n")[1:-1]:
        head, above, holds = line.split("|")
        name, number, superclass = head.split()
        yield name, f"{CLASS}.{number}", superclass, above.split(), holds.split()


def record(dn, *lines):
    return "\n".join([f"dn: {dn}", *lines]) + "\n\n"


def samba(folder):
    container = f"CN=Schema,CN=Configuration,{BASE}"
    files = {"00-attributes": "", "90-places": ""}
    for name, identifier, syntax, rest in attributes():
        attribute, om, _, _ = SYNTAXES[syntax]
        lines = [
            "changetype: add", "objectClass: attributeSchema", f"lDAPDisplayName: {name}",
            f"attributeID: {identifier}", f"attributeSyntax: {attribute}", f"oMSyntax: {om}",
            f"isSingleValued: {'FALSE' if 'multi' in rest else 'TRUE'}",
            f"searchFlags: {int('index' in rest)}", "isMemberOfPartialAttributeSet: TRUE",
        ]
        if syntax == "name":
            lines.append("oMObjectClass:: KwwCh3McAIVK")  # DS-DN
        lines += [f"linkID: {option[5:]}" for option in rest if option.startswith("link=")]
        if name == "homeMDBBL":
            lines.append("systemFlags: 1")  # A back link, kept by the directory.
        files["00-attributes"] += record(f"CN={name},{container}", *lines)
    # A superclass must have been loaded by an earlier transaction.
    level = {}
    for name, identifier, superclass, above, holds in classes():
        level[name] = level.get(superclass, 0) + 1
        files.setdefault(f"{10 + level[name]}-classes", "")
        files[f"{10 + level[name]}-classes"] += record(
            f"CN={name},{container}", "changetype: add", "objectClass: classSchema",
            f"lDAPDisplayName: {name}", f"governsID: {identifier}", "objectClassCategory: 1",
            f"subClassOf: {superclass}", "rDNAttID: cn", "defaultSecurityDescriptor: D:(A;;RPLCLORC;;;AU)",
            *[f"mayContain: {attribute}" for attribute in holds])
        files["90-places"] += record(
            f"CN={name},{container}", "changetype: modify", "add: possSuperiors",
            *[f"possSuperiors: {place}" for place in above])
    files["90-places"] += record(
        f"CN=User,{container}", "changetype: modify", "add: mayContain",
        *[f"mayContain: {attribute}" for attribute in USER])
    for name, text in files.items():
        Path(folder, f"{name}.ldif").write_text(text)


# Attributes that are part of every Active Directory, and that OpenLDAP does not know.
WINDOWS = """
objectSid                   1.2.840.113556.1.4.146   bytes
tokenGroups                 1.2.840.113556.1.4.1301  bytes  multi
sAMAccountName              1.2.840.113556.1.4.221   text
userPrincipalName           1.2.840.113556.1.4.656   text
userAccountControl          1.2.840.113556.1.4.8     number
objectCategory              1.2.840.113556.1.4.782   text
legacyExchangeDN            1.2.840.113556.1.4.655   text
proxyAddresses              1.2.840.113556.1.2.210   text   multi
networkAddress              1.2.840.113556.1.2.459   text   multi
versionNumber               1.2.840.113556.1.4.141   number
nCName                      1.2.840.113556.1.2.16    name
nETBIOSName                 1.2.840.113556.1.4.87    text
dnsRoot                     1.2.840.113556.1.4.28    text   multi
configurationNamingContext  {o}.101                  name
defaultNamingContext        {o}.102                  name
""".format(o=OWN)
WINDOWS_CLASSES = {
    "container": ("1.2.840.113556.1.3.23", []),
    "site": ("1.2.840.113556.1.5.31", []),
    "crossRef": ("1.2.840.113556.1.3.11", ["nCName", "nETBIOSName", "dnsRoot"]),
    "server": ("1.2.840.113556.1.5.17", []),
    "msExchConfigurationContainer": ("1.2.840.113556.1.5.176", []),
    "group": ("1.2.840.113556.1.5.8", ["sAMAccountName", "objectSid", "member"]),
    "user": ("1.2.840.113556.1.5.9", [
        "sAMAccountName", "userPrincipalName", "userAccountControl", "objectSid", "tokenGroups", "objectCategory",
        "legacyExchangeDN", "proxyAddresses", "mail", "userPassword", *USER]),
}


def slapd():
    known = [line.split() for line in WINDOWS.split("\n")[1:-1]]
    for name, identifier, syntax, rest in [(n, i, s, r) for n, i, s, *r in known] + list(attributes()):
        _, _, rule, number = SYNTAXES[syntax]
        single = "" if "multi" in rest else " SINGLE-VALUE"
        print(f"attributetype ( {identifier} NAME '{name}' EQUALITY {rule} "
              f"SYNTAX 1.3.6.1.4.1.1466.115.121.1.{number}{single} )")
    def object_class(name, identifier, superclass, holds):
        print(f"objectclass ( {identifier} NAME '{name}' SUP {superclass} STRUCTURAL "
              f"MAY ( {' $ '.join(['cn', *holds])} ) )")
    for name, (identifier, holds) in WINDOWS_CLASSES.items():
        object_class(name, identifier, "top", holds)
    for name, identifier, superclass, _, holds in classes():
        object_class(name, identifier, superclass, holds)


if __name__ == "__main__":
    slapd() if sys.argv[1] == "slapd" else samba(sys.argv[1])
