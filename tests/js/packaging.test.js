// What is beside the program: the Compose file, the systemd unit, alert rules and dashboard, each by its own tool.

import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { DCLinter } from "dclint";
import { parse } from "yaml";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = process.env.ROWCAST_BINARY ?? join(ROOT, "target/debug/rowcast");
const read = (path) => readFile(join(ROOT, path), "utf8");
const compose = async () => parse(await read("docker-compose.yml"), { merge: true });

/** Every setting of `serve`, and every command, as the program itself lists them. */
const settings = () => new Set(execFileSync(BINARY, ["serve", "--help"], { encoding: "utf8" }).match(/(ROWCAST_\w+|DATABASE_URL)/g));
const commands = () => new Set([...execFileSync(BINARY, ["--help"], { encoding: "utf8" }).matchAll(/^ {2}(\w[\w-]*) {2}/gm)].map(([, name]) => name));

/** The variables of a text as Compose puts them in: with a default, or one that has to be given. */
const variables = (text) => [...text.matchAll(/\$\{(\w+)(:[-?][^}]*)?\}/g)].map(([, name, rest]) => ({ name, rest }));

test("docker-compose.yml is a Compose file by the specification's schema", async () => {
  const lint = (path) => new DCLinter({ rules: {}, exclude: [] }).lintFiles([path], false).flatMap((file) => file.messages);
  const invalid = (messages) => messages.filter((message) => ["invalid-schema", "invalid-yaml"].includes(message.rule));
  assert.deepEqual(invalid(lint(join(ROOT, "docker-compose.yml"))), []);

  // And the tool does see what is wrong.
  const folder = await mkdtemp(join(tmpdir(), "rowcast-compose-"));
  const broken = join(folder, "docker-compose.yml");
  await writeFile(broken, (await read("docker-compose.yml")).replace("healthcheck:", "healthchecks:"));
  assert.notEqual(invalid(lint(broken)).length, 0);
  await rm(folder, { recursive: true });
});

test("everything that docker-compose.yml names is there", async () => {
  const file = await compose();
  const known = settings();
  for (const [name, service] of Object.entries(file.services)) {
    for (const [needed, { condition }] of Object.entries(service.depends_on ?? {})) {
      assert.ok(file.services[needed], `${name} depends on ${needed}`);
      if (condition === "service_healthy") assert.ok(file.services[needed].healthcheck.test.length > 1, needed);
    }
    for (const volume of service.volumes ?? []) {
      const source = volume.split(":")[0];
      assert.ok(source in file.volumes, `${name} mounts ${source}`);
    }
    for (const port of service.ports ?? []) assert.match(String(port), /^(\d+:)?\d+$/);
    if (service.image !== "rowcast") continue;
    const [command] = service.command;
    assert.ok(commands().has(command), `rowcast ${command}`);
    for (const variable of Object.keys(service.environment)) assert.ok(known.has(variable), `${name}: ${variable}`);
  }
  // Everything that it takes from outside has a default, or says what is missing.
  for (const { name, rest } of variables(await read("docker-compose.yml"))) {
    assert.ok(rest, `\${${name}} may be unset`);
    if (name.startsWith("ROWCAST_")) assert.ok(known.has(name), name);
  }
  // The database that is waited for is the one that is connected to.
  const { POSTGRES_USER, POSTGRES_DB } = file.services.postgres.environment;
  const url = new URL(file.services.rowcast.environment.DATABASE_URL.replace(/\$\{\w+:-(\w+)\}/g, "$1"));
  assert.deepEqual([url.username, url.pathname, url.hostname], [POSTGRES_USER, `/${POSTGRES_DB}`, "postgres"]);
});

test("the Dockerfile builds, runs and checks what is there", async () => {
  const file = await read("Dockerfile");
  for (const [, sources] of file.matchAll(/^COPY (?!--from)(.+) \S+$/gm)) {
    for (const source of sources.split(" ").filter((source) => !source.includes("*"))) await read(source).catch((error) => assert.equal(error.code, "EISDIR", source));
  }
  const known = settings();
  for (const [variable] of file.matchAll(/ROWCAST_\w+/g)) assert.ok(known.has(variable), variable);
  const [, command] = file.match(/^CMD \["(\w+)"\]$/m);
  assert.ok(commands().has(command));
});

test("the systemd unit is valid, locked down, and runs commands that there are", async (t) => {
  const unit = await read("packaging/rowcast.service");
  for (const [, command] of unit.matchAll(/^Exec\w+=\/usr\/local\/bin\/rowcast (\w+)$/gm)) assert.ok(commands().has(command), command);
  const fields = unit.split("\n").filter((line) => !/^(#.*|\[\w+\]|)$/.test(line));
  for (const field of fields) assert.match(field, /^[A-Z]\w+=/, "a field of a unit");
  for (const field of ["DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet="]) assert.ok(fields.includes(field), field);
  const analyze = (...args) => promisify(execFile)("systemd-analyze", args);
  if (await analyze("--version").then(() => false, () => true)) return t.diagnostic("no systemd-analyze on this machine");

  const folder = await mkdtemp(join(tmpdir(), "rowcast-unit-"));
  const file = join(folder, "rowcast.service");
  await writeFile(file, unit.replaceAll("/usr/local/bin/rowcast", BINARY));
  const { stderr } = await analyze("verify", file);
  assert.equal(stderr.split("\n").filter((line) => line.includes("rowcast.service")).join("\n"), "");
  // 0 is best, 10 worst; 2 is "OK".
  await analyze("security", "--offline=true", "--threshold=20", file);
  await rm(folder, { recursive: true });
});

test("promtool takes the alert rules, their tests, and every query of the dashboard", async () => {
  const promtool = process.env.ROWCAST_PROMTOOL ?? join(ROOT, "target/tools/prometheus/usr/bin/promtool");
  const run = (...args) => promisify(execFile)(promtool, args, { cwd: ROOT });
  await run("check", "rules", "packaging/prometheus/rowcast.rules.yml");
  await run("test", "rules", "packaging/prometheus/rowcast.test.yml");

  const board = JSON.parse(await read("packaging/grafana/rowcast.json"));
  const panels = board.panels.filter((panel) => panel.type !== "row");
  assert.ok(panels.length > 15);
  assert.equal(new Set(board.panels.map((panel) => panel.id)).size, board.panels.length, "ids of panels");
  const rules = panels.flatMap((panel) => {
    assert.ok(panel.title && panel.description && panel.targets.length > 0, `panel ${panel.id}`);
    const { x, w } = panel.gridPos;
    assert.ok(x + w <= 24, `panel ${panel.title} fits`);
    return panel.targets.map(({ refId, expr }) => ({
      record: `panel:${panel.id}:${refId}`,
      expr: expr.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*"),
    }));
  });
  const folder = await mkdtemp(join(tmpdir(), "rowcast-board-"));
  const file = join(folder, "board.yml");
  // JSON is YAML, too.
  await writeFile(file, JSON.stringify({ groups: [{ name: "board", rules }] }));
  await run("check", "rules", file);
  await rm(folder, { recursive: true });
});
