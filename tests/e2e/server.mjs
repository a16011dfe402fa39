// One authd with a database, settings and mail of its own, in a directory that is deleted at the end.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.AUTHD_BINARY;

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** Waits until `look` returns something, for at most ten seconds. */
export async function eventually(what, look) {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ten seconds: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Server {
  static async start(settings = "") {
    const server = new Server();
    server.directory = mkdtempSync(join(tmpdir(), "authd-e2e-"));
    server.port = await freePort();
    server.url = `http://localhost:${server.port}`;
    const file = join(server.directory, "authd.toml");
    writeFileSync(
      file,
      `db = "${server.directory}/authd.db"
listen = "127.0.0.1:${server.port}"
mail = "dir:${server.directory}/mail"
registration = "open"
password_ram = "64MiB"
${settings}
`,
      { mode: 0o600 },
    );
    server.environment = { PATH: process.env.PATH, AUTHD_CONFIG: file };
    server.seen = new Set();
    await server.run();
    return server;
  }

  async run() {
    this.log = "";
    this.child = spawn(BINARY, ["serve"], { env: this.environment, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (bytes) => (this.log += bytes));
    }
    this.ended = new Promise((resolve) => this.child.on("exit", resolve));
    await eventually(`a server that listens: ${this.log}`, () =>
      fetch(`http://127.0.0.1:${this.port}/readyz`).then((answer) => answer.ok, () => false));
  }

  /** What a command prints. */
  command(...words) {
    return execFileSync(BINARY, words, { env: this.environment, encoding: "utf8", input: this.typed ?? "" });
  }

  /** An account that an operator made. */
  addUser(email, password, ...more) {
    this.typed = `${password}\n`;
    this.command("user", "add", email, "--password-stdin", ...more);
    this.typed = undefined;
  }

  /** The link in the next message to this address that was not taken yet. */
  async linkFor(address, path) {
    const link = new RegExp(`http://localhost:${this.port}/${path}\\?token=[\\w-]+`);
    return eventually(`a message to ${address} with a link to /${path}`, () => {
      for (const name of this.messages()) {
        if (this.seen.has(name)) continue;
        const text = readFileSync(join(this.directory, "mail", name), "utf8")
          .replaceAll("=\r\n", "").replaceAll("=\n", "").replaceAll("=3D", "=");
        const found = text.match(link);
        if (found && text.toLowerCase().includes(`to: ${address.toLowerCase()}`)) {
          this.seen.add(name);
          return found[0];
        }
      }
    });
  }

  messages() {
    try {
      return readdirSync(join(this.directory, "mail")).filter((name) => name.endsWith(".eml")).sort();
    } catch {
      return [];
    }
  }

  async stop() {
    this.child.kill("SIGTERM");
    await this.ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}
