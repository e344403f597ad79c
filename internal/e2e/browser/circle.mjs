// A person's way round the circle: see an ad on the demo page, click it, sign in
// to the console, and find the impressions, the click and the spend in the report.
// Reads what `make run` wrote (KEY=value lines, the file is the first argument),
// prints one JSON object, exits non-zero when something is not there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const env = Object.fromEntries(readFileSync(process.argv[2], "utf8").trim().split("\n").map((line) => {
  const equals = line.indexOf("=");
  return [line.slice(0, equals), line.slice(equals + 1)];
}));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// The circle's promise; everything here ends long before the test's own limit.
const REPORT_WITHIN_MS = 120_000;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  console.log(JSON.stringify(await circle()));
} finally {
  await browser.close();
}

async function circle() {
  // As a person's browser would say: a list of robots may one day name headless ones.
  const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
  const context = await browser.newContext({ userAgent, locale: "en-US", bypassCSP: true });
  context.setDefaultTimeout(30_000);
  const errors = [];
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  let impressions = 0;
  context.on("response", (response) => {
    if (response.url().includes("/t/i/") && response.status() === 200) impressions++;
  });

  await page.goto(env.DEMO_URL);
  const slot = page.locator(`[data-hayate-placement="${env.PLACEMENT_BANNER}"]`);
  await slot.locator("iframe").waitFor();
  const image = slot.frameLocator("iframe").locator("img");
  await image.waitFor();
  const drawn = await image.evaluate((element) => element.decode().then(() => element.naturalWidth));
  const [landing] = await Promise.all([context.waitForEvent("page"), image.click()]);
  await landing.waitForLoadState();
  const landed = landing.url();
  await landing.close();
  await page.waitForTimeout(1500); // the page's last beacons
  await page.close();

  const started = Date.now();
  const console_ = await context.newPage();
  console_.on("pageerror", (error) => errors.push(String(error)));
  const violations = [];
  const audit = async (name, language = "en") => {
    await console_.evaluate(axe);
    const result = await console_.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
    for (const v of result.violations) violations.push(`${name}: ${v.id}: ${v.nodes[0].html}`);
    const { lang, beyond } = await console_.evaluate(() => ({ lang: document.documentElement.lang, beyond: document.documentElement.scrollWidth - innerWidth }));
    if (lang !== language) violations.push(`${name}: in ${lang}, want ${language}`);
    if (beyond > 0) violations.push(`${name}: ${beyond} pixels wider than the window`);
  };
  await console_.goto(env.ADMIN_URL);
  await audit("sign-in");
  await console_.fill("input[name=email]", env.ADMIN_EMAIL);
  await console_.fill("input[name=password]", env.ADMIN_PASSWORD);
  await console_.press("input[name=password]", "Enter");
  await console_.waitForURL((url) => !url.pathname.includes("sign"));
  await audit("home");
  let total = {};
  while (Date.now() - started < REPORT_WITHIN_MS) {
    await console_.goto(env.ADMIN_URL + "/report");
    total = await totals(console_);
    if (total.impressions >= impressions && total.clicks >= 1) break;
    await console_.waitForTimeout(1000);
  }
  const seconds = (Date.now() - started) / 1000;
  await audit("report");
  for (const url of await pages(console_)) {
    await console_.goto(env.ADMIN_URL + url);
    await audit(url);
  }
  // The same on a phone, in Japanese: every page is seen at both widths and in both languages.
  await console_.locator("button[name=language][value=ja]").click();
  await console_.locator("html[lang=ja]").waitFor();
  await console_.waitForLoadState();
  await console_.setViewportSize({ width: 390, height: 844 });
  for (const url of ["/", "/report", ...(await pages(console_))]) {
    await console_.goto(env.ADMIN_URL + url);
    await audit(`${url} on a phone, in Japanese`, "ja");
  }
  violations.push(...(await stranger()));
  return { drawn, landed, impressions, total, seconds, errors, violations };
}

// pages are those of reports, jobs, credits and invoices. The advertiser is the
// first one on the list of invoices, which has been charged something.
async function pages(page) {
  await page.goto(env.ADMIN_URL + "/invoices");
  const invoice = await page.locator("main table a[href^='/invoices/']").first().getAttribute("href");
  const advertiser = invoice.split("/")[2];
  return [
    "/report?group=hour,line_item,creative,placement,exchange", "/report?group=day,country,device,invalid",
    "/supply", "/supply?group=hour,placement,exchange", "/jobs", "/corrections", "/corrections/new",
    "/invoices", invoice, `/advertisers/${advertiser}/conversions`,
  ];
}

// stranger is somebody whose browser asks for Japanese and who has not signed in.
async function stranger() {
  const context = await browser.newContext({ locale: "ja-JP" });
  const page = await context.newPage();
  await page.goto(env.ADMIN_URL);
  const language = await page.evaluate(() => document.documentElement.lang);
  await context.close();
  return language === "ja" ? [] : [`sign-in: in ${language} though the browser asks for ja-JP`];
}

// totals reads the last line of the report's table by its column names.
async function totals(page) {
  const table = page.locator("table:has(tfoot)").first();
  if ((await table.count()) === 0) return { impressions: 0, clicks: 0, spend: "0" };
  const names = await table.locator("thead th").allInnerTexts();
  const cells = await table.locator("tfoot tr > *").allInnerTexts();
  const at = (name) => cells[names.findIndex((text) => text.trim().toLowerCase() === name)].trim();
  return { impressions: Number(at("impressions").replaceAll(",", "")), clicks: Number(at("clicks").replaceAll(",", "")), spend: at("spend") };
}
