// The main flows by the keyboard alone.

const PASSWORD = "three grey herons at dawn";

export const modes = [{ width: 1280, script: true }, { width: 1280, script: false }];

export async function walk({ server, visit }) {
  server.addUser("ann@example.org", PASSWORD);
  const ann = await visit();
  const { keyboard } = ann.page;
  const focused = () => ann.page.evaluate(() => {
    const { tagName, textContent, id } = document.activeElement;
    return tagName === "BODY" ? "" : `${id || textContent.trim()}`;
  });
  /** Presses Tab until the focus is on something. */
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 40; presses += 1) {
      if ((await focused()) === wanted) {
        const visible = await ann.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== "none");
        if (!visible) throw new Error(`the focus on ${wanted} cannot be seen`);
        return;
      }
      await keyboard.press("Tab");
    }
    throw new Error(`the keyboard does not reach ${wanted}`);
  };

  await ann.go("/login");
  await tabTo("login");
  await keyboard.type("ann@example.org");
  await keyboard.press("Tab");
  await keyboard.type("wrong wrong wrong");
  await keyboard.press("Enter");
  await ann.page.locator("#errors").waitFor();
  await tabTo("login");
  await tabTo("password");
  await keyboard.type(PASSWORD);
  await keyboard.press("Enter");
  await ann.at("Your account");
  await keyboard.press("Tab");
  if (!(await focused()).startsWith("Skip")) throw new Error(`the first stop is ${await focused()}`);
  await tabTo("Sessions");
  await keyboard.press("Enter");
  await ann.at("Where you are signed in");
  await ann.go("/account/profile");
  await tabTo("name");
  await keyboard.type("Ann");
  await keyboard.press("Enter");
  await ann.says("Your profile was saved.");
  await tabTo("Sign out");
  await keyboard.press("Enter");
  await ann.at("You are signed out");
}
