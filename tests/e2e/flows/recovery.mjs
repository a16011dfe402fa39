// A forgotten password: the link by mail, an older link, a used link; and the change of an address, confirmed twice.

const PASSWORD = "three grey herons at dawn";

async function signIn(person, login, password) {
  await person.go("/login");
  await person.fill({ "E-mail address or username": login, Password: password });
  await person.press("Sign in");
  await person.at("Your account");
}

export async function walk({ server, visit }) {
  server.addUser("ann@example.org", PASSWORD);
  const ann = await visit();
  await ann.go("/login");
  await ann.follow("Forgot your password?");
  await ann.at("Choose a new password");
  await ann.look("forgot");
  await ann.fill({ "E-mail address": "ann@example.org" });
  await ann.press("Send the link");
  await ann.at("Check your mail");
  await ann.look("forgot-sent");
  const older = await server.linkFor("ann@example.org", "reset");
  await ann.follow("Use another address");
  await ann.fill({ "E-mail address": "ann@example.org" });
  await ann.press("Send the link");
  const link = await server.linkFor("ann@example.org", "reset");
  await ann.go(older);
  await ann.at("This link no longer works");
  await ann.look("link-dead");
  await ann.go(link);
  await ann.at("Choose a new password");
  await ann.look("reset");
  await ann.fill({ "New password": "ann@example.org1" });
  await ann.press("Save the new password");
  await ann.page.locator("#errors").waitFor();
  await ann.look("reset-wrong");
  await ann.fill({ "New password": "four red foxes at noon" });
  await ann.press("Save the new password");
  await ann.at("Your password was changed");
  await ann.look("reset-done");
  await ann.go(link);
  await ann.at("This link no longer works");

  await signIn(ann, "ann@example.org", "four red foxes at noon");
  await ann.go("/account/email");
  await ann.at("Change your e-mail address");
  await ann.look("change-email");
  await ann.fill({ "New e-mail address": "ann.example@mail.example" });
  await ann.press("Request the change");
  await ann.at("Your account");
  await ann.says("Two messages are on their way");
  await ann.look("account-email-pending");
  await ann.go(await server.linkFor("ann@example.org", "verify"));
  await ann.at("Confirm the change of your e-mail address");
  await ann.look("verify-change");
  await ann.press("Confirm");
  await ann.at("One confirmation is still missing");
  await ann.look("verify-half");
  await ann.go(await server.linkFor("ann.example@mail.example", "verify"));
  await ann.press("Confirm");
  await ann.at("Your e-mail address was changed");
  await ann.look("verify-done");
}
