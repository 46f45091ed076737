// Keeps an open page fresh: told by /live that something has changed, it loads the page again and
// puts the parts marked data-live in the place of the old ones. Without it, everything works.

const LEAST_MS = 2000;
const RETRY_MS = 5000;

const page = document.body.dataset.livePage;
const pause = document.querySelector('[data-pause]');
const said = document.querySelector('[data-live-status]');
let paused = false;
let due = 0;
let loading = false;
let troubled = false;

document.querySelector('[data-focus]')?.focus();

function say(text) {
  if (said && said.textContent !== text) said.textContent = text;
}

// What has the focus, or is unfolded, stays so when its part of the page is replaced.
function keyOf(element) {
  if (!element) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  const href = element.getAttribute?.('href');
  return href ? `a[href="${CSS.escape(href)}"]` : null;
}

function unfolded(part) {
  return new Set([...part.querySelectorAll('details[open] > summary')].map((it) => it.textContent));
}

function replace(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const focus = part.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  const open = unfolded(part);
  part.replaceChildren(...fresh.childNodes);
  for (const summary of part.querySelectorAll('details > summary')) {
    if (open.has(summary.textContent)) summary.parentElement.open = true;
  }
  if (focus) part.querySelector(focus)?.focus({ preventScroll: true });
}

async function refresh() {
  if (loading || paused || document.hidden) return;
  loading = true;
  try {
    const answer = await fetch(page, { headers: { accept: 'text/html' } });
    if (answer.redirected) return location.assign('/sign-in');
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const same = fresh.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
      if (same) replace(part, same);
    }
    document.title = fresh.title;
    document.documentElement.dataset.fresh = String(Date.now());
    if (troubled) say('Up to date again.');
    troubled = false;
  } catch {
    trouble();
  } finally {
    loading = false;
  }
}

function trouble() {
  troubled = true;
  say('Not up to date: the exchange does not answer. Trying again.');
}

function listen() {
  const events = new EventSource('/live');
  events.onmessage = () => {
    clearTimeout(due);
    due = setTimeout(refresh, LEAST_MS / 4);
  };
  events.onerror = () => {
    trouble();
    // A browser tries again by itself unless it was told no.
    if (events.readyState === EventSource.CLOSED) setTimeout(() => { refresh(); listen(); }, RETRY_MS);
  };
}

if (page) {
  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.textContent = paused ? 'Go on updating' : 'Pause updates';
    say(paused ? 'Updates are paused.' : 'Updates go on.');
    if (!paused) refresh();
  });
  document.addEventListener('visibilitychange', refresh);
  listen();
}
