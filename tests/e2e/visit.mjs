// A person with a browser: opens pages, fills in forms, presses buttons, and looks at every page on the way.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import assert from "node:assert/strict";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The largest page in bytes, with everything that it loads (issue: 30 KB). */
const LARGEST_PAGE = 30 * 1024;

/** Sizes and screenshots of all visits. */
export const seen = new Map();

export class Visit {
  static async open(browser, server, gallery, { width, script, language = "en-GB", name, agent }) {
    const context = await browser.newContext({
      viewport: { width, height: width < 600 ? 740 : 800 },
      javaScriptEnabled: script,
      locale: language,
      userAgent: agent,
    });
    context.setDefaultTimeout(15_000);
    const visit = new Visit();
    Object.assign(visit, { context, server, gallery, width, script, name, page: await context.newPage() });
    visit.page.on("pageerror", (error) => { throw new Error(`a script fails: ${error.message}`); });
    visit.page.on("response", (answer) => visit.measure(answer));
    visit.refused = [];
    visit.page.on("console", (message) => {
      if (message.type() === "error" && /Content Security Policy|violates/.test(message.text())) {
        visit.refused.push(message.text());
      }
    });
    visit.sizes = new Map();
    return visit;
  }

  async measure(answer) {
    // Redirects have no body.
    if (answer.status() >= 300 && answer.status() < 400) return;
    const body = await answer.body().catch(() => Buffer.alloc(0));
    this.sizes.set(new URL(answer.url()).pathname, body.length);
  }

  /** Opens a path of the server, or an absolute address. */
  async go(path) {
    return this.page.goto(new URL(path, this.server.url).href);
  }

  path() {
    const { pathname, search } = new URL(this.page.url());
    return pathname + search;
  }

  /** Fills in fields by their labels. */
  async fill(values) {
    for (const [label, value] of Object.entries(values)) {
      await this.page.getByLabel(label, { exact: true }).fill(value);
    }
  }

  async press(name) {
    await this.page.getByRole("button", { name, exact: true }).click();
    await this.page.waitForLoadState();
  }

  async follow(name) {
    await this.page.getByRole("link", { name, exact: true }).first().click();
    await this.page.waitForLoadState();
  }

  /** Asserts that the page has this heading. */
  async at(heading) {
    await this.page.getByRole("heading", { level: 1, name: heading }).waitFor();
  }

  async says(text) {
    await this.page.getByText(text).first().waitFor();
  }

  /** Looks at the page: its width, its weight, what axe finds in both schemes; and takes a picture of it. */
  async look(name) {
    const { page } = this;
    assert.deepEqual(this.refused, [], `${name}: the content security policy refused something`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${name}: ${wide} px wider than the window of ${this.width} px`);
    if (!this.script) return;
    const document = this.sizes.get(new URL(page.url()).pathname) ?? 0;
    const others = [...this.sizes].filter(([path]) => path.startsWith("/assets/") || path === "/brand/logo");
    const bytes = others.reduce((sum, [, size]) => sum + size, document);
    assert.ok(bytes <= LARGEST_PAGE, `${name}: ${bytes} bytes`);
    seen.set(name, { path: new URL(page.url()).pathname, html: document, all: bytes });
    mkdirSync(join(this.gallery, String(this.width)), { recursive: true });
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const picture = join(this.gallery, String(this.width), `${name}${colorScheme === "dark" ? "-dark" : ""}.png`);
      await page.screenshot({ path: picture, fullPage: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
      const words = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
      assert.deepEqual(words, [], `${name} (${colorScheme}, ${this.width} px)`);
    }
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  }

  async close() {
    await this.context.close();
  }
}
