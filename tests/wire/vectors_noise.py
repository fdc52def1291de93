"""Public test vectors of `Noise_XXpsk0_25519_ChaChaPoly_SHA256`.

FLYNN: three of this protocol in `vectors.txt` of https://github.com/flynn/noise (BSD-3-Clause):
bare, with a prologue, with a prologue and payloads.
SNOW: the last handshake message that `tests/general.rs` of https://github.com/mcginty/snow
(Apache-2.0 or MIT), `test_XXpsk0_expected_value`, expects.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vector:
    """Keys, and payload and message of each turn; turns from 3 on are after the handshake."""

    prologue: bytes
    payloads: tuple[bytes, ...]
    messages: tuple[bytes, ...]


INIT_STATIC = bytes(range(32))
RESP_STATIC = bytes(range(1, 33))
INIT_EPHEMERAL = bytes(range(0x20, 0x40))
RESP_EPHEMERAL = bytes(range(0x41, 0x61))
PSK = b"!verysecretverysecretverysecret!"

EMPTY = (b"", b"", b"", b"yellowsubmarine", b"submarineyellow")
FILLED = (b"test_msg_0", b"test_msg_1", b"test_msg_2", b"yellowsubmarine", b"submarineyellow")

TRANSPORT = (
    bytes.fromhex("75fff8afebd2f14da1cac9cc5b5201395cdf2ad65f3a97804e360c16f4e2ac"),
    bytes.fromhex("150cc85f79f9ca0f0730b8b4707805ed1969ff6b2770a5d466cd2754802805"),
)

FLYNN = (
    Vector(
        b"",
        EMPTY,
        (
            bytes.fromhex(
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
                "555f63b2499511e3b299a5649351a5b7"
            ),
            bytes.fromhex(
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
                "22df46c0ac1e0fc71795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b"
                "324ab54fd3be59ac143dfdc68996211170078c960e051d6ed971da20bde0fcf1"
            ),
            bytes.fromhex(
                "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d12"
                "3be3fe89ffd8af56e02cefda863080ecee5651dcecddde76b8237c66740d7c8f"
            ),
            *TRANSPORT,
        ),
    ),
    Vector(
        b"notsecret",
        EMPTY,
        (
            bytes.fromhex(
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
                "54a218352d64c1f8c239416ccb542aec"
            ),
            bytes.fromhex(
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
                "22df46c0ac1e0fc71795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b"
                "58733b0ab529b3f48ed3fbe90840f1a27404f52be696831ccb795d1bdee31d33"
            ),
            bytes.fromhex(
                "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d12"
                "fb91ca67cf72f381bab072bd9e6efef157067416654408489b43ba2fb6173b66"
            ),
            *TRANSPORT,
        ),
    ),
    Vector(
        b"notsecret",
        FILLED,
        (
            bytes.fromhex(
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
                "7f533cf20723ac4407c87f43dc5dc6f6d1867a322a706af81adb"
            ),
            bytes.fromhex(
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
                "22df46c0ac1e0fc71795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b"
                "59d623ffc18ae67b1acba43eb87910b02dc6c1642ae7e8ae8c8e861ed15d8d6b"
                "65ff99f73d8286cc9819"
            ),
            bytes.fromhex(
                "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d12"
                "94b31017013e8ac0a697b42922a5fe204111b0bfa4fdeb4704a4b5492137b400"
                "88f810ee4d1a58882e25"
            ),
            *TRANSPORT,
        ),
    ),
)


def counting(start: int) -> bytes:
    """Snow's test keys: the bytes from `start` on, counting up."""
    return bytes((start + index) % 256 for index in range(32))


SNOW = Vector(
    b"\x01\x02\x03",
    (b"abc", b"defg", b""),
    (
        b"",
        b"",
        bytes.fromhex(
            "072b7bbd237ac602c4aa938db36998f31ca4750752d1758d59850c627d0bdbc5"
            "1205592c3baa101b4a31f062695b7c1dbee99d5123fbd2ad03052078c570e028"
        ),
    ),
)
