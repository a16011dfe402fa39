// Signing in, wrong and right, and out; and what Back shows after that.

const PASSWORD = "three grey herons at dawn";

export async function walk({ server, visit }) {
  server.addUser("ann@example.org", PASSWORD, "--name", "Ann Example");
  server.addUser("bob@example.org", PASSWORD, "--temporary");
  const ann = await visit();

  // A page that needs a sign-in leads back to itself.
  await ann.go("/account/sessions");
  await ann.at(/^Sign in to/);
  await ann.look("sign-in");
  for (const [login, password, words] of [
    ["nobody@example.org", PASSWORD, "is wrong"],
    ["ann@example.org", "wrong wrong wrong", "is wrong"],
  ]) {
    await ann.fill({ "E-mail address or username": login, Password: password });
    await ann.press("Sign in");
    await ann.says(words);
  }
  await ann.look("sign-in-wrong");
  await ann.fill({ "E-mail address or username": "ann@example.org", Password: PASSWORD });
  await ann.press("Sign in");
  await ann.at("Where you are signed in");
  await ann.press("Sign out");
  await ann.at("You are signed out");
  await ann.look("signed-out");
  await ann.page.goBack();
  await ann.page.waitForLoadState();
  await ann.at(/^Sign in to/);

  // A temporary password is replaced before the session begins.
  const bob = await visit();
  await bob.go("/login");
  await bob.fill({ "E-mail address or username": "bob@example.org", Password: PASSWORD });
  await bob.press("Sign in");
  await bob.at("Choose your own password");
  await bob.look("choose-password");
  await bob.fill({ "New password": "four red foxes at noon" });
  await bob.press("Save and sign in");
  await bob.at("Your account");
}
