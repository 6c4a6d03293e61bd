// The live page: what the server tells is drawn, what is asked for is sent.

const model = new Model({mostEvents: 2000, sorted: true});
const sheet = new Sheet(byId('sheet'));
const log = new LogView();
const line = new TimeLine(byId('line'), model, {
  open: show, say: clock, folds: 12, none: 'Nothing runs here.', moved: draw, base: 'end',
  label: (ms, to) => ms === to ? 'now' : '−' + span(to - ms),
});
let offset = 0;            // of the server's clock to this one
let stale = new Set();     // UIDs of what has changed and is not drawn yet; null for all
let words = [];
let shown = null;          // the object in the sheet
let mostEvents = 100;
let eventsStale = true;

const now = () => Date.now() + offset;

/* What the server tells. */

let source = null;

function connect() {
  if (source) source.close();
  source = new EventSource('/changes');
  source.onmessage = e => { link('live'); take(JSON.parse(e.data)); };
  source.onerror = () => link(source.readyState === EventSource.CLOSED ? 'ended' : 'lost');
}

function link(state) {
  const text = {live: 'live', lost: 'connection lost: does skiff ui still run?', ended: 'this skiff ui has ended: start another one, and open its address', asleep: 'asleep'}[state];
  const node = byId('link');
  if (node.textContent !== text) node.textContent = text;
  node.className = state === 'live' ? 'live' : state === 'asleep' ? 'faint' : 'lost';
}

function take(change) {
  offset = at(change.now) - Date.now();
  const touched = model.take(change);
  byId('troubles').textContent = (change.troubles || []).join('\n');
  line.none.textContent = change.loading ? 'Looking …' : 'Nothing runs here.';
  if (change.whole) stale = null;
  else if (stale) for (const uid of touched) stale.add(uid);
  if (change.whole || (change.events || []).length) eventsStale = true;
  if (!frame) frame = requestAnimationFrame(() => { frame = 0; refresh(); });
}

let frame = 0;

/* What is drawn. */

function refresh() {
  const touched = stale;
  stale = new Set();
  if (touched && !touched.size) return;
  line.update(touched || undefined);
  draw();
  summarize();
  if (!byId('events').children.length) drawEvents();
  if (shown) follow(touched);
}

function draw() {
  const to = now();
  let length = Number(byId('window').value) * 1000;
  if (!length) length = Math.max(10000, to - Math.min(to, ...[...model.workloads.values(), ...model.pods.values()].map(o => at(o.began))));
  line.show(to - length, to);
}

function summarize() {
  showOnce(byId('problems'), model.problems().map(p => model.titleOf(p.of) + p.more + p.text).join('\n') + '\n\n' + words.join(' '),
    list => showProblems(list, model, words, show));
  byId('wrong').hidden = !byId('problems').children.length;
  const there = [...model.workloads.values()].filter(w => !w.ended);
  const ready = there.filter(w => w.ready).length, bad = model.problems().length;
  const sum = byId('sum');
  sum.hidden = !there.length;
  sum.className = 'badge' + (bad ? ' no' : ready < there.length ? ' part' : '');
  sum.textContent = bad ? bad + ' wrong' : ready + '/' + there.length + ' ready';
  document.title = (bad ? '● ' : '') + document.querySelector('h1').textContent;
}

/** showOnce fills a node unless it holds the same already: what has the focus keeps it. */
function showOnce(node, content, fill) {
  if (node.content === content) return;
  node.content = content;
  fill(node);
}

function drawEvents() {
  if (!eventsStale) return;
  eventsStale = false;
  const all = model.events.filter(e => matches(words, e.type, e.reason, e.namespace || '', e.of, e.message)).reverse();
  showEvents(byId('events'), all, {time: clock, heads: 'At', where: e => model.where(e), most: mostEvents, none: words.length ? 'None has all these words.' : 'There were none.', expanded: () => { mostEvents = Infinity; }});
}

setInterval(() => {
  if (document.hidden) return;
  line.filter(words); // what has ended leaves the window
  draw();
  drawEvents();
}, 1000);

byId('window').addEventListener('change', () => { line.filter(words); draw(); });
addEventListener('resize', draw);
let searching = 0;
byId('search').addEventListener('input', () => {
  clearTimeout(searching);
  searching = setTimeout(() => {
    words = wordsOf(byId('search').value);
    line.filter(words);
    draw();
    summarize();
    eventsStale = true;
    drawEvents();
  }, 80);
});

// A page that nobody looks at needs nothing, and holds no connection: browsers have few of them for a host.
let falling = 0;
document.addEventListener('visibilitychange', () => {
  clearTimeout(falling);
  if (document.hidden) falling = setTimeout(() => { source.close(); source = null; link('asleep'); }, 15000);
  else if (!source) connect();
});

/* One object. */

function show(o, container) {
  const other = !shown || shown.uid !== o.uid || container && container !== log.choice.value;
  shown = o;
  sheet.show(model.titleOf(o));
  actions(o);
  facts();
  if (!o.containers) log.close();
  else if (other || !log.pod) log.show(o, container);
  draw();
}

sheet.closed = () => { shown = null; log.close(); draw(); };

function facts() {
  showFacts(sheet.body, model, shown, {say: clock, now: now(), open: show});
}

/** follow shows what has changed about the object in the sheet, unless somebody is at work there. */
function follow(touched) {
  const fresh = model.pods.get(shown.uid) && shown.containers ? model.pods.get(shown.uid) : model.workloads.get(shown.uid);
  if (!fresh) return;
  shown = fresh;
  if (shown.containers) log.see(shown);
  const own = !touched || touched.has(shown.uid) || shown.kind && model.podsOf(shown).some(p => touched.has(p.uid));
  if (own && !sheet.body.contains(document.activeElement)) { facts(); actions(shown); }
}

function actions(o) {
  showOnce(byId('actions'), [o.uid, o.replicas, !!o.ended].join(' '), node => {
    node.textContent = '';
    for (const verb of verbsOf(o)) {
      const button = add(node, 'button', verb === 'delete' ? 'danger' : '', {restart: 'Restart', scale: 'Scale', delete: 'Delete'}[verb]);
      button.type = 'button';
      button.setAttribute('aria-haspopup', 'dialog');
      button.addEventListener('click', () => ask(verb, shown));
    }
  });
}

/* What is asked for. */

const kindOf = o => o.kind || 'Pod';

function verbsOf(o) {
  if (o.ended) return [];
  const verbs = ['delete'];
  if (o.replicas !== undefined) verbs.unshift('scale');
  if (['Deployment', 'StatefulSet', 'DaemonSet'].includes(o.kind)) verbs.unshift('restart');
  return verbs;
}

const texts = {
  restart: () => 'All of its pods are replaced, as by skiff rollout restart.',
  scale: o => 'It is to have ' + o.replicas + ' now.',
  delete: o => o.kind && o.kind !== 'Pod' ? 'Its pods are deleted with it. Volume claims stay.'
    : o.owner && o.owner !== 'pod/' + o.name ? 'Its containers are stopped. ' + o.owner + ' has another pod take its place if it still wants one.' : 'Its containers are stopped, and nothing takes its place.',
};

let asked = null;

function ask(verb, o) {
  if (!o || !verbsOf(o).includes(verb)) return;
  asked = {verb, o};
  const title = {restart: 'Restart', scale: 'Scale', delete: 'Delete'}[verb];
  byId('ask-title').textContent = title + ' ' + model.titleOf(o) + '?';
  byId('ask-text').textContent = texts[verb](o);
  byId('ask-replicas').hidden = verb !== 'scale';
  byId('ask-number').value = o.replicas;
  byId('ask-failure').textContent = '';
  const yes = byId('ask-yes');
  yes.textContent = title;
  yes.className = verb === 'delete' ? 'main danger' : 'main';
  yes.disabled = false;
  byId('ask').showModal();
  (verb === 'scale' ? byId('ask-number') : verb === 'delete' ? byId('ask-no') : yes).focus();
  if (verb === 'scale') byId('ask-number').select();
}

async function carryOut() {
  const {verb, o} = asked;
  const order = {verb, kind: kindOf(o), namespace: o.namespace, name: o.name, uid: o.uid};
  if (verb === 'scale') {
    if (!byId('ask-number').checkValidity() || byId('ask-number').value === '') { byId('ask-failure').textContent = 'The number of replicas is a whole one, 0 or more.'; return; }
    order.replicas = Number(byId('ask-number').value);
  }
  byId('ask-yes').disabled = true;
  try {
    const answer = await fetch('/do', {method: 'POST', headers: {'Content-Type': 'application/json', 'X-Skiff-Token': document.querySelector('meta[name=token]').content}, body: JSON.stringify(order)});
    const text = (await answer.text()).trim();
    if (!answer.ok) throw new Error(text);
    byId('ask').close();
    say(text);
  } catch (e) {
    byId('ask-failure').textContent = e.message;
    byId('ask-yes').disabled = false;
  }
}

byId('ask-yes').addEventListener('click', carryOut);
byId('ask-no').addEventListener('click', () => byId('ask').close());
byId('ask-number').addEventListener('keydown', e => { if (e.key === 'Enter') { e.preventDefault(); carryOut(); } });
byId('help-button').addEventListener('click', () => byId('help').showModal());
byId('help-close').addEventListener('click', () => byId('help').close());

let saying = 0;
function say(text) {
  const node = byId('said');
  node.textContent = text;
  node.hidden = false;
  clearTimeout(saying);
  saying = setTimeout(() => { node.hidden = true; }, 5000);
}

/* Keys. */

const verbKeys = {r: 'restart', s: 'scale', d: 'delete'};

/** atHand is the object that a key is about: that of the row with the focus, else the one in the sheet. */
function atHand() {
  const focus = document.activeElement;
  const row = focus && focus.classList.contains('name') && focus.row;
  return row ? row.object : shown;
}

addEventListener('keydown', e => {
  if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented || document.querySelector('dialog[open]')) return;
  if (e.target.closest('input:not([type=checkbox]), select, textarea')) {
    if (e.key === 'Escape' && e.target.id === 'search') { e.target.value = ''; e.target.dispatchEvent(new Event('input')); line.current && line.current.focus(); }
    return;
  }
  const window_ = byId('window');
  const keys = {
    '/': () => byId('search').focus(),
    '?': () => byId('help').showModal(),
    'l': () => { const row = document.activeElement.row; if (row && row.object) show(row.object, row.container); if (log.pod) byId('log-lines').focus(); },
    'p': () => { if (log.pod) log.pause(!log.paused); },
    '-': () => { window_.selectedIndex = Math.min(window_.options.length - 1, window_.selectedIndex + 1); draw(); },
    '+': () => { window_.selectedIndex = Math.max(0, window_.selectedIndex - 1); draw(); },
    'Escape': () => { if (sheet.open) sheet.close(); },
  };
  const run = keys[e.key] || verbKeys[e.key] && (() => ask(verbKeys[e.key], atHand()));
  if (!run) return;
  e.preventDefault();
  run();
});

connect();
