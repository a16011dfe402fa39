// Two devices: one names the other, signs it out, and sees that in the activity. A copied token is told plainly.

const PASSWORD = "three grey herons at dawn";
const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

async function signIn(person) {
  await person.go("/login");
  await person.fill({ "E-mail address or username": "ann@example.org", Password: PASSWORD });
  await person.page.getByLabel("Keep me signed in on this device").check();
  await person.press("Sign in");
  await person.at("Your account");
}

export async function walk({ server, visit }) {
  server.addUser("ann@example.org", PASSWORD);
  const laptop = await visit();
  const phone = await visit({ agent: PHONE });
  await signIn(laptop);
  await signIn(phone);
  const app = await fetch(`${server.url}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "weather/2.1" },
    body: JSON.stringify({ login: "ann@example.org", password: PASSWORD, device_name: "Weather station in the garden" }),
  }).then((answer) => answer.json());

  await laptop.go("/account/sessions");
  await laptop.says("Safari on iPhone");
  await laptop.look("sessions");
  await laptop.follow("Safari on iPhone");
  await laptop.look("session");
  await laptop.fill({ "Your name for this device": "Ann's phone" });
  await laptop.press("Save");
  await laptop.says("The name of the device was saved.");
  await laptop.page.getByRole("button", { name: "Sign out: Ann's phone" }).click();
  await laptop.says("The device was signed out.");
  await phone.go("/account");
  await phone.at(/^Sign in to/);

  // The app's first token is used again after its successor was used: it was copied.
  const refresh = (token) => fetch(`${server.url}/v1/sessions/refresh`, {
    method: "POST",
    headers: { "content-type": "application/json", "user-agent": "weather/2.1" },
    body: JSON.stringify({ refresh_token: token }),
  }).then((answer) => answer.json());
  const second = await refresh(app.refresh_token);
  await refresh(second.refresh_token);
  const refused = await refresh(app.refresh_token);
  if (refused.code !== "invalid_grant") throw new Error(JSON.stringify(refused));
  await laptop.go("/account/activity");
  await laptop.page.locator(".alarm").waitFor();
  await laptop.look("activity-theft");
  await laptop.go("/account/sessions/end-others");
  await laptop.look("end-others");
}
