// The account page and what can be changed there, with ordinary and with very long values; and its deletion.

const PASSWORD = "three grey herons at dawn";
const LONG = `${"l".repeat(60)}@${"d".repeat(60)}.${"e".repeat(60)}.example`;

export async function walk({ server, visit }) {
  server.addUser(LONG, PASSWORD, "--username", "u".repeat(64), "--name", "Ann ".repeat(48).trim());
  server.command("group", "add", "family");
  server.command("group", "add", "g".repeat(64));
  server.command("group", "grant", "family", LONG);
  server.command("group", "grant", "g".repeat(64), LONG);
  const ann = await visit();
  await ann.go("/login");
  await ann.fill({ "E-mail address or username": LONG, Password: PASSWORD });
  await ann.press("Sign in");
  await ann.at("Your account");
  await ann.look("account-long");
  await ann.go("/account/profile");
  await ann.look("profile");
  const hostile = "<b>Ann</b> \u202e \u0639\u0645\u0631 &amp;";
  await ann.fill({ "Your name (optional)": hostile, "Username (optional)": "a n n" });
  await ann.press("Save");
  await ann.page.locator("#errors").waitFor();
  await ann.look("profile-wrong");
  await ann.fill({ "Username (optional)": "ann" });
  await ann.press("Save");
  await ann.says("Your profile was saved.");
  await ann.page.locator("dd bdi", { hasText: hostile }).waitFor();
  await ann.look("account-saved");
  await ann.go("/account/password");
  await ann.at("Change your password");
  await ann.look("change-password");
  await ann.fill({ "Current password": "wrong wrong wrong", "New password": "four red foxes at noon" });
  await ann.press("Change the password");
  await ann.page.locator("#errors").waitFor();
  await ann.look("change-password-wrong");
  await ann.fill({ "Current password": PASSWORD, "New password": "four red foxes at noon" });
  await ann.press("Change the password");
  await ann.says("Your password was changed.");
  await ann.go("/account/activity");
  await ann.at("What happened to your account");
  await ann.look("activity");
  await ann.go("/account/delete");
  await ann.at("Delete your account");
  await ann.look("delete");
  await ann.fill({ "Type the e-mail address to confirm": "another@example.org" });
  await ann.press("Delete the account");
  await ann.page.locator("#errors").waitFor();
  await ann.look("delete-wrong");
  await ann.fill({ "Type the e-mail address to confirm": LONG });
  await ann.press("Delete the account");
  await ann.at("Your account was deleted");
  await ann.look("deleted");
}
