// What other sites, strangers and hostile values do: each is refused with a page that says what to do next.

import { createServer } from "node:http";
import assert from "node:assert/strict";
import { freePort } from "../server.mjs";

const PASSWORD = "three grey herons at dawn";

async function signIn(person, path = "/login") {
  await person.go(path);
  await person.fill({ "E-mail address or username": "ann@example.org", Password: PASSWORD });
  await person.press("Sign in");
}

export async function walk({ server, visit }) {
  server.addUser("ann@example.org", PASSWORD);
  const ann = await visit();
  await signIn(ann);
  await ann.at("Your account");

  // A form on another port of localhost: the same site, but not the same origin.
  const port = await freePort();
  const forms = createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<form method="post" action="${server.url}/account/profile">
      <input name="name" value="Eve"><button>Win a prize</button></form>
      <iframe src="${server.url}/login"></iframe>`);
  });
  await new Promise((resolve) => forms.listen(port, "127.0.0.1", resolve));
  try {
    await ann.page.goto(`http://localhost:${port}/`);
    await ann.page.getByRole("button", { name: "Win a prize" }).click();
    await ann.at("The form was not accepted");
    ann.refused.length = 0; // The frame above is refused by the content security policy, as it has to be.
    await ann.look("form-refused");
  } finally {
    forms.closeAllConnections();
    forms.close();
  }
  await ann.go("/account");
  assert.equal(await ann.page.getByText("Eve").count(), 0);

  // A cookie that somebody planted before the sign-in is not the session afterwards.
  const planted = await visit();
  await planted.go("/login");
  const { name } = (await ann.context.cookies()).find(({ value }) => value.startsWith("ab_"));
  await planted.context.addCookies([{ name, value: "ab_planted", url: server.url }]);
  await signIn(planted);
  await planted.at("Your account");
  const cookies = await planted.context.cookies();
  const session = cookies.filter((cookie) => cookie.name === name);
  assert.notEqual(session[0].value, "ab_planted");
  assert.ok(session[0].httpOnly && session[0].sameSite === "Lax");

  // After the sign-in, only a path of this server is followed.
  for (const foreign of ["https://evil.example/", "//evil.example", "/\\evil.example", "/%2fevil.example", "javascript:alert(1)",
    "http:evil.example", "\t//evil.example", "/account/../..//evil.example", `${server.url}.evil.example/`]) {
    const person = await visit();
    await signIn(person, `/login?return_to=${encodeURIComponent(foreign)}`);
    await person.page.waitForLoadState();
    assert.equal(new URL(person.page.url()).origin, server.url, foreign);
    await person.close();
  }

  // A page that does not exist, and a method that it does not have.
  await ann.go("/account/nothing-here");
  await ann.at("There is no such page");
  await ann.look("not-found");
  await ann.go("/reset?token=ap_made-up");
  await ann.at("This link no longer works");
}
