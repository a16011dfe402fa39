// The administration: from an empty server to an invited account in a group, and everything that can be done to it.

export const settings = 'verification = "required"';

const PASSWORD = "three grey herons at dawn";
const LONG = `${"l".repeat(60)}@${"d".repeat(60)}.${"e".repeat(60)}.example`;

export async function walk({ server, visit }) {
  server.addUser("root@example.org", PASSWORD, "--admin");
  const root = await visit();
  await root.go("/admin");
  await root.fill({ "E-mail address or username": "root@example.org", Password: PASSWORD });
  await root.press("Sign in");
  await root.at("Administration");
  await root.look("admin");
  for (const page of ["groups", "invitations", "outbox", "locked", "keys", "settings", "events"]) {
    await root.go(`/admin/${page}`);
    await root.look(`admin-${page}-first`);
  }

  await root.go("/admin/groups");
  await root.fill({ "New group": "Family" });
  await root.press("Create");
  await root.page.locator("#errors").waitFor();
  await root.look("admin-groups-wrong");
  await root.fill({ "New group": "family" });
  await root.press("Create");
  await root.says("The group was created.");
  await root.look("admin-group-empty");

  await root.go("/admin/invitations/new");
  await root.look("admin-invite");
  await root.page.getByLabel(/^E-mail address/).fill("bob@example.org");
  await root.page.getByLabel("Group").selectOption("family");
  await root.page.locator("main form button").first().click();
  await root.page.waitForLoadState();
  const link = (await root.page.locator("#to-copy").inputValue()).trim();
  await root.look("admin-invitation-link");
  const bob = await visit();
  await bob.go(link);
  await bob.look("register-invited");
  await bob.fill({ Password: PASSWORD });
  await bob.press("Create an account");
  await bob.go(await server.linkFor("bob@example.org", "verify"));
  await bob.fill({ Password: PASSWORD });
  await bob.press("Create an account");
  await bob.go("/login");
  await bob.fill({ "E-mail address or username": "bob@example.org", Password: PASSWORD });
  await bob.press("Sign in");
  await bob.at("Your account");
  await bob.says("family");
  await bob.go("/admin");
  await bob.at("This page is for administrators");
  await bob.look("forbidden");

  await root.go("/admin/accounts/new");
  await root.look("admin-new-account");
  await root.fill({ "E-mail address": LONG, "Name (optional)": "<b>Ann</b> \u202e\u0639\u0645\u0631", "Username (optional)": "u".repeat(64) });
  await root.page.locator("main form button").last().click();
  await root.page.waitForLoadState();
  await root.look("admin-first-password-link");
  await root.go("/admin/accounts");
  await root.look("admin-accounts");
  await root.page.locator("input[name=q]").fill("nobody-has-this");
  await root.press("Search");
  await root.look("admin-accounts-nothing");
  await root.go("/admin/accounts?q=bob");
  await root.follow("bob@example.org");
  await root.look("admin-account");
  await root.page.getByRole("button", { name: /^End/ }).first().click();
  await root.says("The device was signed out.");
  await bob.go("/account");
  await bob.at(/^Sign in to/);
  for (const action of ["disable", "end-sessions", "reset-link", "delete"]) {
    const id = new URL(root.page.url()).pathname.split("/")[3];
    await root.go(`/admin/accounts/${id}/${action}`);
    await root.look(`admin-account-${action}`);
  }
  await root.fill({ "Type the e-mail address to confirm": "bob@example.org" });
  await root.press("Delete the account");
  await root.says("The account was deleted.");
  await root.go(`/admin/accounts?q=${"l".repeat(60)}`);
  await root.page.locator("td a").first().click();
  await root.look("admin-account-long");
  await root.go("/admin/events");
  await root.look("admin-events");
  await root.go("/admin/invitations");
  await root.look("admin-invitations");
  await root.go("/admin/keys/rotate");
  await root.look("admin-keys-rotate");
}
