"""A mail server for the tests: STARTTLS with a certificate of its own authority, and AUTH before anything is taken.

usage: server.py AUTHORITY.pem BEHAVIOUR...

Writes its authority's certificate to the file and prints `listening on PORT`. Each letter that is brought is treated as
the next BEHAVIOUR says (the last one goes on): `take` it, answer `451`, or `drop` the connection. It prints one line of
JSON for each: what it did, and who brought what to whom.
"""

import asyncio
import json
import logging
import ssl
import sys

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self, behaviours):
        self.behaviours = behaviours

    async def handle_DATA(self, server, session, envelope):
        behaviour = self.behaviours[0]
        if len(self.behaviours) > 1:
            self.behaviours.pop(0)
        brought = {
            "did": behaviour,
            "encrypted": session.ssl is not None,
            "as": session.auth_data,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "message": envelope.content.decode(),
        }
        print(json.dumps(brought), flush=True)
        if behaviour == "451":
            return "451 4.7.1 Greylisted, try again later"
        if behaviour == "drop":
            server.transport.abort()
        return "250 2.0.0 Taken"


def authenticate(server, session, envelope, mechanism, credentials):
    right = LoginPassword(b"authd", b"p@ss/word")
    if credentials == right:
        return AuthResult(success=True, auth_data=credentials.login.decode())
    return AuthResult(success=False, handled=False)


# What matters is told by the tests; a client that hangs up is no news.
logging.disable(logging.ERROR)


async def main():
    authority = trustme.CA()
    authority.cert_pem.write_to_path(sys.argv[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    handler = Handler(sys.argv[2:])

    def session():
        return SMTP(
            handler,
            hostname="localhost",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    # Until whoever started it closes its input, or ends.
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
