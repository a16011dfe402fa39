// Walks every flow of the pages in a real browser: on a phone and on a desktop, with and without JavaScript.
//
//   AUTHD_BINARY=target/debug/authd node tests/e2e/run.mjs [PART OF A NAME]
//
// Pictures of every page go to GALLERY (target/gallery).

import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Server } from "./server.mjs";
import { Visit, seen } from "./visit.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const gallery = process.env.GALLERY;
const wanted = process.argv[2] ?? "";

const MODES = [
  { width: 360, script: true },
  { width: 1280, script: true },
  { width: 360, script: false },
  { width: 1280, script: false },
];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const failures = [];
let walked = 0;

/** Runs a flow with a server of its own. */
async function walk(name, flow, mode) {
  const words = `${name}, ${mode.width} px, ${mode.script ? "with" : "without"} JavaScript`;
  const server = await Server.start(flow.settings);
  const visits = [];
  const visit = async (more = {}) => {
    const opened = await Visit.open(browser, server, gallery, { ...mode, name, ...more });
    visits.push(opened);
    return opened;
  };
  const begun = Date.now();
  try {
    await flow.walk({ server, visit, ...mode });
    walked += 1;
    console.log(`ok      ${words} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    const last = visits.at(-1);
    console.log(`FAILED  ${words}\n${error.stack}\nat ${last?.page.url()}\n${server.log.slice(-2000)}`);
    await last?.page.screenshot({ path: join(gallery, `failed-${name}.png`), fullPage: true }).catch(() => {});
    failures.push(words);
  } finally {
    for (const opened of visits) await opened.close();
    await server.stop();
  }
}

try {
  for (const file of readdirSync(join(here, "flows")).filter((file) => file.includes(wanted)).sort()) {
    const flow = await import(`./flows/${file}`);
    for (const mode of flow.modes ?? MODES) await walk(file.replace(".mjs", ""), flow, mode);
  }
} finally {
  await browser.close();
}

console.log("\npage                            HTML   with all");
for (const [name, { html, all }] of [...seen].sort()) {
  console.log(`${name.padEnd(28)} ${String(html).padStart(7)} ${String(all).padStart(10)}`);
}
console.log(`\n${walked} walks, ${failures.length} failed; pictures: ${gallery}`);
process.exitCode = failures.length === 0 && walked > 0 ? 0 : 1;
