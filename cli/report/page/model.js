'use strict';
// What is known, and how it is said: shared by the report and the live page.

const at = t => Date.parse(t);

function element(kind, className, text) {
  const e = document.createElement(kind);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
function add(parent, kind, className, text) { return parent.appendChild(element(kind, className, text)); }
const byId = id => document.getElementById(id);

/** seconds says how long something took: 0.25 s, 12.3 s, 3 m 20 s, 2 h 5 m. */
function seconds(ms) {
  const s = ms / 1000;
  if (s < 10) return s.toFixed(2) + ' s';
  if (s < 120) return s.toFixed(1) + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' m ' + Math.floor(s % 60) + ' s';
  return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' m';
}

/** span is a round time: 0 s, 20 s, 1 m 30 s, 2 h. */
function span(ms) {
  const s = Math.round(ms / 10) / 100;
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' m' + (s % 60 ? ' ' + Math.round(s % 60) + ' s' : '');
  return Math.floor(s / 3600) + ' h' + (s % 3600 ? ' ' + Math.floor(s % 3600 / 60) + ' m' : '');
}

/** clock is the time of the day. */
const clock = ms => new Date(ms).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});

/** plain is a text without the escape sequences by which programs colour terminals. */
const plain = text => text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '');

/** wordsOf are the words of a search, all of which are to be found. */
const wordsOf = text => text.toLowerCase().split(/\s+/).filter(w => w);
const matches = (words, ...texts) => {
  if (!words.length) return true;
  const all = texts.join(' ').toLowerCase();
  return words.every(w => all.includes(w));
};

/** Model is what there is: workloads and pods by their UIDs, events in their order. */
class Model {
  /** sorted has workloads stand by their names; otherwise they do in the order in which they were seen. */
  constructor({mostEvents = Infinity, sorted = false} = {}) {
    this.mostEvents = mostEvents;
    this.sorted = sorted;
    this.clear();
  }
  clear() {
    this.workloads = new Map();
    this.pods = new Map();
    this.events = [];
    this.eventsOf = new Map(); // by the UID of what they are about
    this.several = false; // namespaces
  }

  /** take adds what has changed, and returns the UIDs of what it is about. */
  take(change) {
    if (change.whole) this.clear();
    const touched = new Set();
    for (const w of change.workloads || []) { this.workloads.set(w.uid, w); touched.add(w.uid); }
    for (const p of change.pods || []) { this.pods.set(p.uid, p); touched.add(p.uid); }
    for (const e of change.events || []) {
      this.events.push(e);
      if (!e.uid) continue;
      touched.add(e.uid);
      const own = this.eventsOf.get(e.uid) || [];
      if (own.push(e) > 400) own.splice(0, 100);
      this.eventsOf.set(e.uid, own);
    }
    if (this.events.length > this.mostEvents) this.events.splice(0, this.events.length - this.mostEvents);
    if (change.whole || (change.workloads || []).length || (change.pods || []).length) this.order();
    return touched;
  }

  /** order groups the pods by workload: a list of {key, uid, title, workload, pods}. */
  order() {
    const groups = new Map();
    const namespaces = new Set();
    const group = (namespace, name) => {
      const key = namespace + '/' + name;
      if (!groups.has(key)) groups.set(key, {key, namespace, name, workload: null, pods: []});
      return groups.get(key);
    };
    for (const w of this.workloads.values()) {
      namespaces.add(w.namespace);
      const g = group(w.namespace, w.kind.toLowerCase() + '/' + w.name);
      if (!g.workload || g.workload.ended || !w.ended) g.workload = w; // of two with one name the one that is there
    }
    for (const p of this.pods.values()) {
      namespaces.add(p.namespace);
      group(p.namespace, p.owner || 'pod/' + p.name).pods.push(p);
    }
    this.groups = [...groups.values()];
    if (this.sorted) this.groups.sort((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
    for (const g of this.groups) g.pods.sort((a, b) => at(a.began) - at(b.began) || a.name.localeCompare(b.name));
    this.several = namespaces.size > 1 || [...namespaces].some(n => n !== 'default');
    for (const uid of this.eventsOf.keys()) if (!this.pods.has(uid) && !this.workloads.has(uid)) this.eventsOf.delete(uid);
  }

  /** where is what comes before a name: the namespace, unless all is in the default one. */
  where(o) { return this.several && o.namespace ? o.namespace + '/' : ''; }

  titleOf(o) { return this.where(o) + (o.kind ? o.kind.toLowerCase() + '/' : 'pod/') + o.name; }

  /** problems are what is wrong: [{of, text, more}], each cause once. What is wrong with a workload may be so for what is with its pods. */
  problems() {
    const out = [], seen = new Map(), workloads = new Map();
    for (const w of this.workloads.values()) {
      if (!w.problem || w.ended || this.pods.has(w.uid)) continue;
      const problem = {of: w, text: w.problem, more: 0};
      workloads.set(w.namespace + ' ' + w.kind.toLowerCase() + '/' + w.name, problem);
      out.push(problem);
    }
    for (const p of this.pods.values()) {
      if (!p.problem || p.ended) continue;
      const owner = workloads.get(p.namespace + ' ' + p.owner);
      if (owner && !owner.explained) owner.text += '; pod/' + p.name + ': ' + p.problem;
      if (owner) { owner.explained = true; continue; }
      const key = p.namespace + ' ' + p.owner + ' ' + p.problem.replaceAll(p.name, '');
      if (seen.has(key)) { seen.get(key).more++; continue; }
      const problem = {of: p, text: p.problem, more: 0};
      seen.set(key, problem);
      out.push(problem);
    }
    return out;
  }

  /** podsOf are the pods of a workload. */
  podsOf(w) {
    const name = w.kind.toLowerCase() + '/' + w.name;
    return [...this.pods.values()].filter(p => p.namespace === w.namespace && p.owner === name);
  }
}

/** stateOf says in words what a span is, and in a word how it is drawn. */
function stateOf(s) {
  const words = s.state === 'running' ? 'running, not ready' : s.state;
  return words + (s.note ? ': ' + s.note : '') + (s.cause ? ', ' + s.cause : '');
}
const classOf = s => s.failed && s.state === 'exited' ? 'failed' : s.state + (s.failed ? ' failed' : '');

/** showProblems fills a list with what is wrong; open shows an object. */
function showProblems(list, model, words, open) {
  list.textContent = '';
  const all = model.problems().filter(p => matches(words, model.titleOf(p.of), p.text));
  for (const p of all.slice(0, 20)) {
    const item = add(list, 'li');
    const link = add(item, 'button', 'link', model.titleOf(p.of) + (p.more ? ' and ' + p.more + ' more' : ''));
    link.type = 'button';
    link.addEventListener('click', () => open(p.of));
    add(item, 'span', '', p.text);
  }
  if (all.length > 20) add(list, 'li', '', 'and ' + (all.length - 20) + ' more');
  return all.length;
}

/** showEvents fills a table, at most so many rows of it, and a button for more. */
function showEvents(parent, events, options) {
  parent.textContent = '';
  if (!events.length) { add(parent, 'p', 'faint', options.none || 'There were none.'); return; }
  const table = add(parent, 'table');
  const head = add(add(table, 'thead'), 'tr');
  const heads = [options.heads || 'After', 'Type', 'Reason', 'Of', 'Message'];
  for (const h of options.short ? heads.filter(h => h !== 'Of') : heads) add(head, 'th', '', h);
  const body = add(table, 'tbody');
  const rows = (from, to) => {
    for (const e of events.slice(from, to)) {
      const tr = add(body, 'tr', e.type.toLowerCase());
      add(tr, 'td', 'faint', options.time(at(e.at)));
      add(tr, 'td', 'type', e.type);
      add(tr, 'td', '', e.reason);
      if (!options.short) add(tr, 'td', '', options.where(e) + e.of);
      add(tr, 'td', '', e.message + (e.count > 1 ? ' (x' + e.count + ')' : ''));
    }
  };
  let shown = options.most || 200;
  rows(0, shown);
  if (events.length <= shown) return;
  const more = add(parent, 'button', 'more', 'Show all ' + events.length);
  more.type = 'button';
  more.addEventListener('click', () => { rows(shown); more.remove(); if (options.expanded) options.expanded(); });
}
