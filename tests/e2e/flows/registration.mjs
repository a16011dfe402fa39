// A stranger registers, and confirms the address with the link and the password.

export const settings = 'verification = "required"';

export async function walk({ server, visit }) {
  const eve = await visit();
  await eve.go("/login");
  await eve.look("sign-in-open");
  await eve.follow("Create an account");
  await eve.at("Create your account");
  await eve.look("register");
  await eve.page.locator("form[action='/register']").evaluate((form) => (form.noValidate = true));
  await eve.fill({ "E-mail address": "eve@", "Username (optional)": "e v e", Password: "password1234" });
  await eve.press("Create an account");
  await eve.page.locator("#errors").waitFor();
  await eve.look("register-wrong");
  await eve.fill({ "E-mail address": "eve@example.org", "Username (optional)": "eve", Password: "three grey herons at dawn" });
  await eve.press("Create an account");
  await eve.at("Check your mail");
  await eve.look("check-mail");
  const link = await server.linkFor("eve@example.org", "verify");
  await eve.go(link);
  await eve.at("Finish your registration");
  await eve.look("finish-registration");
  await eve.fill({ Password: "not my password here" });
  await eve.press("Create an account");
  await eve.page.locator("#errors").waitFor();
  await eve.look("finish-registration-wrong");
  await eve.fill({ Password: "three grey herons at dawn" });
  await eve.press("Create an account");
  await eve.page.waitForURL((url) => url.pathname !== "/verify");
  await eve.look("registered");
  await eve.go(link);
  await eve.at("This link no longer works");
  await eve.look("link-dead-registration");
}
