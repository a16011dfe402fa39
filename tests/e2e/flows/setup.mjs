// From the printed set-up link to the first account, and its pages while they are empty.

export async function walk({ server, visit }) {
  const ann = await visit();
  await ann.go("/login");
  await ann.look("sign-in-no-account");
  const link = server.log.match(/http:\S+\/setup\?token=[\w-]+/)[0];
  await ann.go(link);
  await ann.at("Set up this server");
  if (ann.path() !== "/setup") throw new Error(`the token is in the address: ${ann.path()}`);
  await ann.look("setup");
  await ann.fill({ "E-mail address": "ann@example.org", "Your name (optional)": "Ann", Password: "short" });
  await ann.press("Create the administrator");
  await ann.at("Set up this server");
  await ann.look("setup-wrong");
  await ann.fill({ Password: "three grey herons at dawn" });
  await ann.press("Create the administrator");
  await ann.at("Your account");
  await ann.look("account-first");
  await ann.go("/account/sessions");
  await ann.look("sessions-one");
  await ann.go(link);
  await ann.at("This server is set up");
  await ann.look("setup-done");
}
