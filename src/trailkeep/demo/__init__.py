"""A stand-in for the Audit Trail API and a made-up Organization: Trailkeep without an account.

`story` writes the Organization, ninety days of its work and one incident; `emulator` is the API as a WSGI
application, with faults on demand; `serve` puts it on a loopback port. Nothing here shares code with what it
is used to test: whatever both sides say about the API, each has worked out for itself.
"""
