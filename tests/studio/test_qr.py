"""QR codes of the page are those that the Python package qrcode 8 makes, module by module.

The matrices below are the rows of ``QRCode(version=V, error_correction=ERROR_CORRECT_M, mask_pattern=0)`` with the text as
``QRData(bytes, mode=MODE_8BIT_BYTE)``, each as a hexadecimal number whose highest bit is the first module.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from wordspot.studio.routes import WEB

NODE = shutil.which("node")
EXPECTED = {
    "http://a.b/": (
        "1fc17f 105f41 174a5d 174b5d 17555d 104541 1fd57f 300 154a12 4b8b1 b7df7 a9c92 7ed28 1a73 1fca17 104311 175228 "
        "174aba 175115 1041ba 1fde0b "
    ),
    "http://10.0.0.2:8766/st": (
        "1fc837f 105d641 174315d 174e15d 175e35d 1043641 1fd557f e800 1540e12 17b4ce1 1bd1997 a8a8e2 1c5fc6b 12b069 "
        "1247977 921daa 1162bf8 1ef1f 1fc4f53 1046f19 17559f3 1743e94 1753119 104d95a 1fd7523 "
    ),
    "https://192.168.1.20:8766/studio/": (
        "1fc8437f 10548641 174c215d 174f915d 175b935d 10407641 1fd5557f 2800 154d1e12 184bc69 b5a7947 1d1cda12 19f77c4b "
        "1cb76069 34589cb bba1cea 104e386b 4318c6d 11dd4d33 c3eddba 116a7bf0 175f17 1fc1835b 104f2b18 175f39f1 17431c97 "
        "1759d119 10467d4a 1fd2991b "
    ),
    "https://lampe.local:8766/studio/#token=grün-12345678": (
        "1fc96bf7f 105eaaf41 174f0505d 174ea925d 175c87b5d 104287641 1fd55557f 7dd900 1546bcb12 1cb9149e1 ff5895a7 "
        "141a30e11 1dd602de9 143ba85e1 17eec9187 5aba9b52 1bcdccac0 16b31c9e3 c5d5cc5 fafbfb71 1c1d6eca 5afbc447 "
        "14d538abb f8c9bc80 16caed9f3 1a51b1b 1fcf88f55 104ac2d11 1753c0dfa 174220c1d 175809d19 1048afe92 1fddc9a13 "
    ),
    "https://192.168.100.100:8766/studio/#token=abcdefghijklmnopqrstuvwxyz-_0123": (
        "1fc4ecaa7f 1054f8a741 174ee2565d 1740f4105d 175426b35d 10475aaa41 1fd555557f 3bfca00 154615ab12 113736ddc9 "
        "e6df88553 e869cdd32 5f7dce63 1e22114c63 11c2c8d527 13b973ad10 1fc340c9c9 68b209dc9 1a7449942b 11b2ac9b02 "
        "18dd1cce40 1798d94c6b 1255c51c27 1d8b0fead0 656f409ca e80fcddc3 13e1bc8547 babdebbc1 10fe38cff0 10150919 "
        "1fc6888f59 104fd0ef1b 175de0c9fa 1748e857b2 1750c19a1f 104faafbf2 1fd1188f83 "
    ),
    "x" * 106: (
        "1fcbcaaaa7f 105f7aaaa41 174e255555d 1741855555d 175b8aaaa5d 104bfaaaa41 1fd5555557f 19aaaa00 154f6aaaa12 "
        "602855554d 10fc8555517 59adaaaab2 a608aaaae8 685855554d 187cb555517 c99eaaaab2 1b609aaaae8 1017a55554d "
        "19dbb555517 1d808aaaab2 fcdaaaae8 18b7a55554d 1ddfb555517 1fb80aaaab3 4e58aaaae8 e89655554d ae71555517 "
        "1f26eaaaab2 1c2faaaae8 70c455554d 13672555517 f27faaaab2 1341caaabf8 15c55551d 1fc16555757 104bdaaa912 "
        "1759e6aa9f8 174d015561f 1751a5554b7 104bd2aa9e2 1fdd2aaab4b "
    ),
}
TOO_LONG = "x" * 107


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
def test_the_same_as_another_encoder() -> None:
    assert NODE is not None
    script = (
        f"import {{ qrCode }} from {json.dumps((WEB / 'qr.js').as_uri())};\n"
        f"console.log(JSON.stringify({json.dumps([*EXPECTED, TOO_LONG])}.map(qrCode)));"
    )
    run = subprocess.run(
        [NODE, "--input-type=module", "-e", script], capture_output=True, text=True, encoding="utf-8", timeout=60, check=True
    )
    *found, too_long = json.loads(run.stdout)
    assert too_long is None
    for text, rows in zip(EXPECTED, found, strict=True):
        numbers = [int("".join(str(int(dark)) for dark in row), 2) for row in rows]
        assert numbers == [int(row, 16) for row in EXPECTED[text].split()], text
