// Keeps an open page fresh: told by /live that something has changed, it loads the page again and
// puts the parts marked data-live in the place of the old ones. Without it, everything works.

const LEAST_MS = 2000;
const RETRY_MS = 5000;
const RETRY_MAX_MS = 120000;

const page = document.body.dataset.livePage;
const pause = document.querySelector('[data-pause]');
const said = document.querySelector('[data-live-status]');
let wait = RETRY_MS;
let paused = false;
let due = 0;
let loading = false;
let troubled = false;
let again = false;
let events = null;

document.querySelector('[data-focus]')?.focus();

function say(text) {
  if (said && said.textContent !== text) said.textContent = text;
}

// What has the focus, or is unfolded, stays so when its part of the page is replaced: it is known
// again by its place among those of its kind.
function placeOf(part, element) {
  if (!element || !part.contains(element)) return null;
  const kind = element.localName;
  return { kind, at: [...part.querySelectorAll(kind)].indexOf(element) };
}

function replace(part, fresh) {
  if (part.innerHTML === fresh.innerHTML) return;
  const focus = placeOf(part, document.activeElement);
  const open = [...part.querySelectorAll('details[open] > summary')].map((it) => it.textContent);
  part.replaceChildren(...fresh.childNodes);
  for (const summary of part.querySelectorAll('details > summary')) {
    if (open.includes(summary.textContent)) summary.parentElement.open = true;
  }
  if (focus) part.querySelectorAll(focus.kind)[focus.at]?.focus({ preventScroll: true });
}

async function refresh() {
  if (paused || document.hidden) return;
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  try {
    const answer = await fetch(page, { headers: { accept: 'text/html' } });
    // What is half filled in is not thrown away.
    if (answer.redirected) return stop('Your session has ended. Sign in again in another window.');
    if (answer.status === 404) return stop('This page is no longer for you, or is gone.');
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
    if (again) {
      again = false;
      soon();
    }
  }
}

function soon() {
  clearTimeout(due);
  due = setTimeout(refresh, LEAST_MS / 4);
}

function stop(text) {
  events?.close();
  say(text);
}

function trouble() {
  troubled = true;
  say('Not up to date: the exchange does not answer. Trying again.');
}

function listen() {
  events = new EventSource('/live');
  events.onopen = () => { wait = RETRY_MS; };
  events.onmessage = soon;
  events.onerror = () => {
    // A browser tries again by itself unless it was told no: too many pages are kept fresh, say.
    if (events.readyState !== EventSource.CLOSED) return trouble();
    setTimeout(() => { refresh(); listen(); }, wait);
    wait = Math.min(2 * wait, RETRY_MAX_MS);
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
