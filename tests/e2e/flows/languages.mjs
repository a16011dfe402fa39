// The same pages in German.

export const modes = [{ width: 360, script: true }, { width: 1280, script: true }];

export async function walk({ server, visit }) {
  server.addUser("anna@example.org", "drei graue Reiher am Morgen");
  const anna = await visit({ language: "de-DE" });
  for (const [path, name] of [["/login", "sign-in"], ["/register", "register"], ["/forgot", "forgot"], ["/gibt-es-nicht", "not-found"]]) {
    await anna.go(path);
    await anna.look(`de-${name}`);
  }
  await anna.go("/login");
  await anna.fill({ "E-Mail-Adresse oder Benutzername": "anna@example.org", Passwort: "falsch falsch falsch" });
  await anna.press("Anmelden");
  await anna.look("de-sign-in-wrong");
  await anna.fill({ Passwort: "drei graue Reiher am Morgen" });
  await anna.press("Anmelden");
  for (const page of ["", "/profile", "/email", "/password", "/sessions", "/activity", "/delete"]) {
    await anna.go(`/account${page}`);
    await anna.look(`de-account${page.replace("/", "-")}`);
  }
}
