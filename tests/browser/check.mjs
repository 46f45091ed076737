// The console in a real Chromium, against a served exchange in which things are late.
//
//   node tests/browser/check.mjs LINK CONCERN [SHOTS]
//
// LINK is an unused invitation; CONCERN the number of a concern that is overdue; into the folder
// SHOTS go screenshots. CAIRN_BROWSER names the node_modules with playwright-core and axe-core.
// Ends with "N checks, M failed", and with 0 only if M is 0.

import { createRequire } from 'node:module';
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';

const require = createRequire(path.join(process.env.CAIRN_BROWSER ?? 'node_modules', 'x.js'));
const { chromium } = require('playwright-core');
const axe = require.resolve('axe-core/axe.min.js');

const [link, concern, shots] = process.argv.slice(2);
const base = new URL(link).origin;
const PASSPHRASE = 'heather granite lapwing';
const PATIENCE = { timeout: 20_000 };
const PAGES = [
  ['now', '/'], ['overdue', '/deliveries?show=overdue'], ['all', '/deliveries?show=all'],
  ['concern', `/concerns/${concern}`], ['find', '/find'], ['agencies', '/agencies'], ['raised', '/raised'],
  ['agency', '/agencies/school'], ['health', '/health'], ['hand-over', '/hand-over'], ['help', '/help'],
  ['not-found', '/nowhere'],
];
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

let checks = 0;
const failed = [];
function check(what, holds, detail = '') {
  checks += 1;
  if (!holds) {
    failed.push(what);
    console.log(`FAILED ${what} ${detail}`);
  }
}

const browser = await chromium.launch({
  executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
if (shots) mkdirSync(shots, { recursive: true });

async function context(options = {}) {
  const made = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  made.setDefaultTimeout(PATIENCE.timeout);
  return made;
}

async function watched(made, name) {
  const page = await made.newPage();
  page.on('console', (message) => {
    const about = message.text();
    // A page that is not there, or a form that is wrong, says so in the console too.
    if (message.type() === 'error' && !/status of (404|422)/.test(about)) check(`${name}: the console is quiet`, false, about);
  });
  page.on('pageerror', (error) => check(`${name}: the script runs`, false, String(error)));
  return page;
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true });
}

async function byAxe(page, name) {
  // Injected past the page's own policy, as a tester's tool is.
  await page.evaluate(await import('node:fs').then((fs) => fs.readFileSync(axe, 'utf8')));
  const found = await page.evaluate((rules) => globalThis.axe.run({ runOnly: rules }), RULES);
  const said = found.violations.map((it) => `${it.id}: ${it.nodes[0].html} ${it.nodes[0].failureSummary}`);
  check(`${name}: axe-core finds nothing`, said.length === 0, said.join('\n  '));
}

async function byRule(page, name) {
  const seen = await page.evaluate(() => ({
    h1: document.querySelectorAll('h1').length,
    lang: document.documentElement.lang,
    title: document.title,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    refresh: document.querySelectorAll('meta[http-equiv="refresh" i]').length,
    inline: document.querySelectorAll('[style], script:not([src]), [onclick]').length,
    main: document.querySelectorAll('main').length,
  }));
  check(`${name}: one h1`, seen.h1 === 1);
  check(`${name}: a title that ends with the name`, / – Cairn$/.test(seen.title), seen.title);
  check(`${name}: nothing is wider than the window`, seen.wide <= 0, `${seen.wide}`);
  check(`${name}: no timed refresh, nothing inline, one main, a language`,
    seen.refresh === 0 && seen.inline === 0 && seen.main === 1 && seen.lang === 'en-GB');
}

// Coming in.
const first = await context();
const door = await watched(first, 'door');
await door.goto(link);
await byAxe(door, 'join');
await byRule(door, 'join');
await shot(door, 'join');
await door.fill('#passphrase', 'short');
await door.fill('#again', 'other');
await door.evaluate(() => document.querySelector('#passphrase').removeAttribute('minlength'));
await door.click('main button');
check('join: what is wrong is said first, and has the focus',
  await door.evaluate(() => document.activeElement.classList.contains('problem')));
await byAxe(door, 'join, wrong');
await door.fill('#passphrase', PASSPHRASE);
await door.fill('#again', PASSPHRASE);
await door.click('main button');
await door.waitForURL(`${base}/`);
const cookies = await first.cookies();
const cookie = cookies.find((it) => it.name === '__Host-cairn');
check('the cookie is for no script, this site, TLS',
  cookie?.httpOnly && cookie.secure && cookie.sameSite === 'Lax' && cookie.path === '/');
const storageState = await first.storageState();

// Every page, light and dark, on a phone and wide.
for (const colorScheme of ['light', 'dark']) {
  for (const width of [320, 1280]) {
    const made = await context({ colorScheme, storageState, viewport: { width, height: 900 } });
    const page = await watched(made, `${colorScheme} ${width}`);
    for (const [name, address] of PAGES) {
      const label = `${name}, ${colorScheme}, ${width}`;
      await page.goto(base + address);
      await byAxe(page, label);
      await byRule(page, label);
      await shot(page, `${name}-${colorScheme}-${width}`);
    }
    await made.close();
  }
}

// The sign-in page, for somebody who is nobody yet.
{
  const made = await context();
  const page = await watched(made, 'sign-in');
  await page.goto(`${base}/concerns/${concern}`);
  check('sign-in: a stranger is asked to sign in', page.url().startsWith(`${base}/sign-in`), page.url());
  await byAxe(page, 'sign-in');
  await shot(page, 'sign-in');
  await page.fill('#name', 'okafor');
  await page.fill('#passphrase', PASSPHRASE);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${base}/concerns/${concern}`);
  check('sign-in: and then is where the link led', true);
  await made.close();
}

// By keyboard: the skip link first, then everything, the focus always to be seen.
{
  const made = await context({ storageState });
  const page = await watched(made, 'keyboard');
  await page.goto(`${base}/concerns/${concern}`);
  await page.keyboard.press('Tab');
  check('keyboard: the skip link comes first', await page.evaluate(() => document.activeElement.className === 'skip'));
  await page.keyboard.press('Enter');
  check('keyboard: and leads to the main part', await page.evaluate(() => document.activeElement.id === 'main'));
  let reached = false;
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const it = document.activeElement;
      const box = it.getBoundingClientRect();
      const style = getComputedStyle(it);
      return {
        body: it === document.body,
        seen: box.bottom > 0 && box.top < innerHeight,
        ringed: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        text: it.textContent.trim().slice(0, 40),
      };
    });
    if (at.body) break;
    check(`keyboard: focus on "${at.text}" is seen`, at.seen && at.ringed);
    reached ||= at.text.startsWith("I'm dealing with this");
  }
  check('keyboard: the buttons are reached', reached);
  await made.close();
}

// A deed, with the script off; and every page is whole without it.
{
  const made = await context({ storageState, javaScriptEnabled: false });
  const page = await made.newPage();
  for (const [name, address] of PAGES) {
    const answer = await page.goto(base + address);
    const text = await page.textContent('main');
    check(`${name}, no script: it is whole`, (answer.ok() || name === 'not-found') && text.trim().length > 40);
    check(`${name}, no script: nothing is offered that would need one`, await page.locator('[data-pause]:visible').count() === 0);
  }
  await page.goto(`${base}/concerns/${concern}`);
  await page.selectOption('.card select', '60');
  await page.click('.card form.act button');
  check('no script: a deed is done and said', (await page.textContent('.done')).includes('you are dealing with this'));
  check('no script: with a name', (await page.textContent('.cared')).includes('R. Okafor, duty manager'));
  await page.goto(`${base}/find`);
  await page.fill('#what', `concern ${concern}`);
  await page.click('main form button');
  check('no script: a concern is found', page.url() === `${base}/concerns/${concern}`);
  await page.goto(`${base}/deliveries?show=overdue`);
  const count = await page.locator('tbody tr').count();
  await page.goto(base);
  check('no script: the number is the length of its list',
    Number(await page.textContent('.count.overdue .number')) === count);
  await made.close();
}

// Kept fresh: what another person does shows by itself, the focus stays, and it can be paused.
{
  const made = await context({ storageState });
  const watching = await watched(made, 'live');
  const acting = await made.newPage();
  await watching.goto(`${base}/concerns/${concern}`);
  await watching.focus('.timeline summary');
  await acting.goto(`${base}/concerns/${concern}`);
  await acting.click('.card details.act summary');
  const form = acting.locator('.card details.act form');
  await form.locator('[name=told_name]').fill('B. Ward');
  await form.locator('[name=told_post]').fill('duty teacher');
  await form.locator('[name=read_back]').check();
  await form.locator('button').click();
  await watching.locator('.timeline', { hasText: 'B. Ward, duty teacher' }).waitFor(PATIENCE);
  check('live: what another person does shows by itself', true);
  check('live: the focus stays where it was', await watching.evaluate(() => document.activeElement.matches('.timeline summary')));
  await watching.click('[data-pause]');
  check('live: a pause is said', (await watching.textContent('[data-live-status]')) === 'Updates are paused.');
  const before = await watching.evaluate(() => document.documentElement.dataset.fresh);
  await acting.goto(`${base}/concerns/${concern}`);
  await acting.click('.card form.act > button');
  await acting.locator('.done').waitFor(PATIENCE);
  await watching.waitForTimeout(4000);
  check('live: paused is paused', before === (await watching.evaluate(() => document.documentElement.dataset.fresh)));
  await watching.click('[data-pause]');
  await watching.waitForFunction((old) => document.documentElement.dataset.fresh !== old, before, PATIENCE);
  check('live: and goes on', true);
  await made.close();
}

// Light or dark, whatever the device is set to.
{
  const made = await context({ storageState, colorScheme: 'light' });
  const page = await watched(made, 'shade');
  await page.goto(base);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.click('.shades button[value=dark]');
  check('shade: the choice holds', (await ground()) !== light);
  await page.goto(`${base}/help`);
  check('shade: on every page', (await ground()) !== light);
  await made.close();
}

// At 400 %, and on paper.
{
  const made = await context({ storageState, viewport: { width: 320, height: 256 } });
  const page = await watched(made, 'zoomed');
  for (const [name, address] of PAGES) {
    await page.goto(base + address);
    await byRule(page, `${name}, at 400 %`);
  }
  await page.goto(`${base}/hand-over`);
  await page.emulateMedia({ media: 'print' });
  check('print: no buttons', await page.locator('button:visible').count() === 0);
  check('print: who printed it', await page.locator('.only-print:visible').count() === 1);
  await made.close();
}

await browser.close();
console.log(`${checks} checks, ${failed.length} failed`);
process.exit(failed.length === 0 ? 0 : 1);
