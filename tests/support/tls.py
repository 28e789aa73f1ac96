"""A certificate for 127.0.0.1 that is its own authority, and its key: made for tests, it guards nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBRjCB7aADAgECAgEBMAoGCCqGSM49BAMCMBkxFzAVBgNVBAMMDnNlYXRyaWFs
IHRlc3RzMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAZMRcwFQYD
VQQDDA5zZWF0cmlhbCB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABL5R
2jJbaK279HXExhOoWaOED5Qt0Kz5elSubtlS32/ypw5vn6QDHsM0PS54dFppwfEL
EFYEVHnevRVwlnl0lBCjJDAiMA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUw
AwEB/zAKBggqhkjOPQQDAgNIADBFAiBv7nTSaWjp/BgjuvCdkcJhdLMwQyA3uIAA
1vNAxodwBQIhAOIXmU8Ab/3NNrZTGlCmCspppHRlYflLWLFwRFSW1IrL
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsXHWBCEz0/9UHQNv
zVSljT4zDV39Fg1XAdZ5aPRkCVGhRANCAAS+UdoyW2itu/R1xMYTqFmjhA+ULdCs
+XpUrm7ZUt9v8qcOb5+kAx7DND0ueHRaacHxCxBWBFR53r0VcJZ5dJQQ
-----END PRIVATE KEY-----
"""


def authority(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """The file to trust, and what a server needs to be trusted by it."""
    public, private = directory / "cert.pem", directory / "key.pem"
    public.write_text(CERTIFICATE)
    private.write_text(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
