"""The configuration file that `init` and `join` write: every key, with what it does."""

import msgspec

from meshpacs.node.config import Config


def default_toml(config: Config) -> str:
    """The file that `init` and `join` write: every key, with what it does."""
    return f"""\
# The configuration of one meshpacs node. `meshpacs config check` reads it and starts nothing.
# A running node takes a change over by itself; `meshpacs status` says if it could not.

# What the other clinics see.
name = {_quoted(config.name)}

[mesh]
# Where other members reach this node. 127.0.0.1 is this machine alone; "0.0.0.0:7117" is every IPv4
# and "[::]:7117" every IPv6 address of this machine. Takes effect at the next start.
listen = {_list(config.mesh_listen)}
# What other members are told to dial, if that differs: a public name, a forwarded port.
advertise = {_list(config.advertise)}

[http]
# Where the commands talk to this node. Whoever holds the file admin.token may do everything here,
# so leave it on this machine. Takes effect at the next start.
listen = {_quoted(config.http_listen)}

[dicom]
# Where modalities, workstations and viewers reach this node, and the AE titles that they call it.
# "0.0.0.0:11112" lets other machines in, of which only those are served that `meshpacs dicom ae`
# lists. An empty list is no DICOM without TLS. Addresses take effect at the next start.
listen = {_list(config.dicom_listen)}
# The same over TLS, where both sides show certificates: `meshpacs dicom tls init` makes ours.
# 2762 is the registered port: "127.0.0.1:2762" is this machine alone, "0.0.0.0:2762" the network.
tls_listen = {_list(config.dicom_tls_listen)}
ae_titles = {_list(config.ae_titles)}
# SOP classes of makers' own that are stored too, by their UIDs; those of the standard always are.
private_classes = {_list(config.private_classes)}
# The folder of the modality worklist, into which the practice's own software puts *.wl or *.json
# files; if no absolute path, then beside this file. Takes effect at the next start.
worklist = {_quoted(config.worklist)}
# Whose the patient numbers are that this clinic's machines send (Issuer of Patient ID): a name that
# no other clinic uses. A question for patients that names no issuer is about these, and every row
# of theirs says so. Takes effect at the next start.
issuer = {_quoted(config.issuer)}
# Which members may have this node send to machines that `meshpacs dicom ae add --shared` shares:
# "*" is every member, an empty list nobody; else their names or, as a name can be chosen by
# anybody once it is free, their ids.
shared_for = {_list(config.shared_for)}

[archive]
# The character set of images that declare none (DICOM PS3.3 C.12.1.1.2). Takes effect at the next
# start, for images that come then.
default_charset = {_quoted(config.default_charset)}
# MiB on the archive's disk that images may not use, so that the node itself always has room: when
# no more is free, images are refused, and all else goes on. Takes effect at the next start.
keep_free_mib = {config.keep_free_mib}

[log]
# debug, info, warning or error; to standard error.
level = {_quoted(config.log_level)}
# console, json, or auto: console on a terminal, else json, one object a line.
format = {_quoted(config.log_format)}
"""


def _quoted(text: str) -> str:
    # A JSON string of printable text is a TOML basic string too.
    return msgspec.json.encode(text).decode()


def _list(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_quoted, texts)) + "]"
