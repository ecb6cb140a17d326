"""Writes the keys of the CASs' accounts to files, each of which begins with the account: the name that clients show.

    keytabs.py CONFIGURATION FOLDER
"""

import sys

import samba.dckeytab  # Gives Net the method that is called below.
from samba.net import Net
from samba.param import LoadParm

from organization import SERVICES


def main(configuration, folder):
    settings = LoadParm()
    settings.load(configuration)
    directory = Net(creds=None, lp=settings)
    for account, services in SERVICES.items():
        for principal in [f"{account}$", *services]:
            directory.export_keytab(keytab=f"{folder}/{account.lower()}.keytab", principal=principal)


if __name__ == "__main__":
    main(*sys.argv[1:])
