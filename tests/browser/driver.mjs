// Drives Chromium for Python: takes one JSON command a line, answers with one JSON line.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath, userData] = process.argv.slice(2);
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const context = await chromium.launchPersistentContext(userData, {
  executablePath,
  headless: true,
  args: FLAGS,
  viewport: { width: 1100, height: 720 },
  // For pages that talk to a server with a certificate of its own.
  ignoreHTTPSErrors: true,
});
context.setDefaultTimeout(15_000);

const pages = new Map();
const told = [];

const commands = {
  async open({ page: name, url }) {
    const page = await context.newPage();
    page.on("console", (message) => told.push(`${name}: ${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => told.push(`${name}: uncaught: ${error.message}`));
    pages.set(name, page);
    await page.goto(url);
  },
  close: ({ page }) => pages.get(page).close(),
  fill: ({ page, selector, text }) => pages.get(page).fill(selector, text),
  type: ({ page, selector, text }) => pages.get(page).locator(selector).pressSequentially(text),
  press: ({ page, selector, key }) => pages.get(page).press(selector, key),
  click: ({ page, selector }) => pages.get(page).click(selector),
  wait: ({ page, selector, state }) =>
    pages.get(page).locator(selector).first().waitFor({ state: state ?? "visible" }),
  texts: ({ page, selector }) => pages.get(page).locator(selector).allInnerTexts(),
  evaluate: ({ page, script }) => pages.get(page).evaluate(script),
  size: ({ page, width, height }) => pages.get(page).setViewportSize({ width, height }),
  scheme: ({ page, scheme }) => pages.get(page).emulateMedia({ colorScheme: scheme }),
  screenshot: ({ page, path }) => pages.get(page).screenshot({ path }).then(() => null),
  told: async () => told.splice(0),
};

process.stdout.write("{}\n");
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await commands[command](rest)) ?? null };
  } catch (error) {
    answer = { error: String(error.message) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await context.close();
