// The time line: a row for each workload and each container, a bar for each state, a tick for each event.

const LEGEND = [['waiting', 'waiting'], ['pulling', 'pulling'], ['running', 'running, not ready'], ['ready', 'ready'], ['exited', 'exited'], ['failed', 'failed'],
  ['tick normal', 'event'], ['tick probe', 'failed probe'], ['tick warning', 'warning'], ['tick change', 'rollout, scaling']];

/** STEPS are round times, in seconds. */
const STEPS = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

/** Track is the right side of a row. Its marks stand at times; place says which times are visible. */
class Track {
  constructor(node) { this.node = node; this.marks = []; }

  fill(spans, ticks) {
    this.node.textContent = '';
    this.marks = [];
    for (const s of spans || []) {
      const node = add(this.node, 'b', classOf(s));
      const from = at(s.from), to = s.to ? at(s.to) : null;
      this.marks.push({node, from, to, text: stateOf(s)});
    }
    for (const t of ticks) this.marks.push({node: add(this.node, 'i', t.class), from: t.at, text: t.text, tick: true});
  }

  /** place draws what lies between two times, and leaves out ticks that would hide one another. */
  place(from, to, say) {
    const share = t => (Math.min(to, Math.max(from, t)) - from) / (to - from) * 100;
    let last = {};
    for (const m of this.marks) {
      const end = m.tick ? m.from : m.to === null ? to : m.to;
      const left = share(m.from);
      const covered = m.tick && last[m.node.className] !== undefined && left - last[m.node.className] < 0.25;
      m.node.hidden = end < from || m.from > to || covered;
      if (m.node.hidden) continue;
      m.node.style.left = left + '%';
      if (m.tick) last[m.node.className] = left;
      else m.node.style.width = Math.max(0, share(end) - left) + '%';
      m.node.title = m.text + '\n' + say(m.from) + (m.tick ? '' : ', for ' + seconds(end - m.from));
    }
  }
}

/** tickOf is how an event stands on the line. */
function tickOf(e) {
  const kind = e.reason === 'Unhealthy' ? 'probe' : e.type === 'Warning' ? 'warning' : 'normal';
  return {class: kind, at: at(e.at), text: e.reason + ': ' + e.message + (e.count > 1 ? ' (x' + e.count + ')' : '')};
}

class TimeLine {
  /** options: open(object) is called for a row that is chosen; say(ms) tells a time, label(ms, to) one on the axis; base is 'end' where times count from the end; folds is how many pods of a workload are too many to show at once. */
  constructor(root, model, options) {
    this.model = model;
    this.options = options;
    this.groups = new Map(); // key to {node, rows, whole, more, open}
    this.words = [];
    root.textContent = '';
    const legend = add(root, 'div', 'legend');
    for (const [name, text] of LEGEND) {
      const item = add(legend, 'span');
      add(item, 'i', name);
      item.append(text);
    }
    const axis = add(root, 'div', 'axis');
    axis.setAttribute('aria-hidden', 'true');
    add(axis, 'div');
    this.scale = add(axis, 'div', 'scale');
    this.list = add(root, 'div', 'groups');
    this.none = add(root, 'p', 'faint', options.none || 'There were no pods.');
    this.list.addEventListener('keydown', e => this.key(e));
  }

  /** update rebuilds the rows of what has changed; touched is undefined for all. */
  update(touched) {
    const model = this.model, keep = new Set();
    let before = null;
    for (const g of model.groups || []) {
      keep.add(g.key);
      let view = this.groups.get(g.key);
      if (!view) this.groups.set(g.key, view = this.newGroup(g));
      const next = before ? before.node.nextSibling : this.list.firstChild;
      if (next !== view.node) this.list.insertBefore(view.node, next);
      before = view;
      this.fillGroup(view, g, touched);
    }
    for (const [key, view] of this.groups) if (!keep.has(key)) { view.node.remove(); this.groups.delete(key); }
    this.filter(this.words);
  }

  newGroup(g) {
    const node = element('div', 'group');
    node.setAttribute('role', 'group');
    return {node, rows: new Map(), whole: this.newRow(node, 'whole'), open: false, key: g.key};
  }

  newRow(parent, kind) {
    const node = add(parent, 'div', 'row ' + kind);
    const name = add(node, 'button', 'name');
    name.type = 'button';
    const row = {node, name, text: add(name, kind === 'whole' ? 'div' : 'b'), state: add(name, 'em'), track: new Track(add(node, 'div', 'track')), object: null, ended: null};
    name.addEventListener('click', () => { if (row.object) this.options.open(row.object, row.container); });
    name.addEventListener('focus', () => this.rove(name));
    name.tabIndex = -1;
    row.track.node.setAttribute('role', 'img');
    name.row = row;
    return row;
  }

  fillGroup(view, g, touched) {
    const w = g.workload;
    view.group = g;
    view.node.setAttribute('aria-label', this.model.where(g) + g.name);
    if (!touched || !view.filled || w && touched.has(w.uid)) {
      view.filled = true;
      this.fillWhole(view.whole, g, w);
    }
    const keep = new Set();
    for (const p of g.pods) {
      for (const c of p.containers || []) {
        const key = p.uid + ' ' + c.name;
        keep.add(key);
        let row = view.rows.get(key);
        const fresh = !row;
        if (fresh) view.rows.set(key, row = this.newRow(view.node, 'pod'));
        if (fresh || !touched || touched.has(p.uid)) this.fillContainer(row, p, c);
      }
    }
    for (const [key, row] of view.rows) if (!keep.has(key)) { row.node.remove(); view.rows.delete(key); }
    if (!view.more) {
      view.more = element('button', 'more');
      view.more.type = 'button';
      view.more.addEventListener('click', () => { view.open = !view.open; this.filter(this.words); this.options.moved(); });
    }
    view.node.append(view.more); // always last
  }

  fillWhole(row, g, w) {
    const events = w && !this.model.pods.has(w.uid) ? this.model.eventsOf.get(w.uid) || [] : [];
    const changes = (w && w.changes || []).map(c => ({class: 'change', at: at(c.at), text: c.what}));
    row.object = w;
    row.text.textContent = this.model.where(g) + g.name;
    row.state.textContent = w ? (w.ended ? 'deleted' : w.state) : '';
    row.state.className = w && (w.problem || w.spans && w.spans.length && w.spans[w.spans.length - 1].failed) ? 'bad' : '';
    row.ended = w && w.ended ? at(w.ended) : null;
    row.node.classList.toggle('ended', !!row.ended);
    row.track.fill(w && w.spans, [...events.map(tickOf), ...changes].sort((a, b) => a.at - b.at));
    row.track.node.setAttribute('aria-label', w ? w.state : '');
    row.find = this.model.where(g) + ' ' + g.name + ' ' + (w ? w.state : '');
  }

  fillContainer(row, p, c) {
    const events = (this.model.eventsOf.get(p.uid) || []).filter(e => e.container === c.name || !e.container && c === p.containers[p.containers.length - 1]);
    const spans = c.spans || [], last = spans[spans.length - 1];
    row.object = p;
    row.container = c.name;
    row.text.textContent = p.name + (p.containers.length > 1 || c.init ? ' · ' + c.name : '') + (c.init ? ' (init)' : '');
    row.name.title = [this.model.titleOf(p), c.name, c.image, p.status, p.node && 'on ' + p.node].filter(t => t).join('\n');
    row.state.textContent = c.restarts ? '↻ ' + c.restarts : '';
    row.state.title = c.restarts ? c.restarts + ' restarts' : '';
    row.state.className = c.restarts ? 'bad' : '';
    row.ended = p.ended ? at(p.ended) : null;
    row.node.classList.toggle('ended', !!p.ended);
    row.problem = !!p.problem;
    row.track.fill(spans, events.map(tickOf));
    row.track.node.setAttribute('aria-label', (last ? stateOf(last) : 'not there yet') + (c.restarts ? ', ' + c.restarts + ' restarts' : ''));
    row.find = [p.namespace, p.owner, p.name, c.name, c.image, p.status].join(' ');
  }

  /** filter shows the rows that have all words. */
  filter(words) {
    this.words = words;
    let any = false;
    for (const view of this.groups.values()) any = this.filterGroup(view) || any;
    this.none.hidden = any;
    this.rove();
  }

  filterGroup(view) {
    const whole = matches(this.words, view.whole.find || '');
    const rows = [...view.rows.values()];
    const found = rows.filter(r => (whole || matches(this.words, r.find)) && !this.past(r.ended));
    const folded = !this.words.length && this.options.folds && found.length > this.options.folds && !view.open;
    let hidden = 0;
    for (const r of rows) {
      const shown = found.includes(r) && (!folded || r.problem);
      if (found.includes(r) && !shown) hidden++;
      r.node.hidden = !shown;
    }
    view.more.hidden = !(hidden || view.open && this.options.folds && found.length > this.options.folds);
    view.more.textContent = hidden ? 'Show ' + hidden + (hidden < found.length ? ' more' : ' containers') : 'Show less';
    const shown = found.length > 0 || whole && !this.past(view.whole.ended);
    view.node.hidden = !shown;
    return shown;
  }

  /** past reports whether something has ended before what is shown begins. */
  past(ended) { return ended !== null && this.from !== undefined && ended < this.from; }

  /** show draws the time between two moments. */
  show(from, to) {
    this.from = from;
    this.to = to;
    this.axis();
    for (const view of this.groups.values()) {
      if (view.node.hidden) continue;
      view.whole.track.place(from, to, this.options.say);
      for (const r of view.rows.values()) if (!r.node.hidden) r.track.place(from, to, this.options.say);
    }
  }

  /** axis tells times at round distances from the beginning, or from the end. */
  axis() {
    const {from, to} = this, length = to - from;
    const step = STEPS.find(s => s * 1000 >= length / (this.scale.clientWidth < 420 ? 3 : 6)) * 1000 || length;
    const times = [];
    for (let k = 0; k * step <= length; k++) times.push(this.options.base === 'end' ? to - k * step : from + k * step);
    while (this.scale.children.length > times.length) this.scale.lastChild.remove();
    while (this.scale.children.length < times.length) add(this.scale, 'span');
    [...this.scale.children].forEach((mark, i) => {
      const share = (times[i] - from) / length * 100;
      mark.textContent = this.options.label(times[i], to);
      mark.style.left = share + '%';
      mark.className = share < 4 ? 'first' : share > 96 ? 'last' : '';
    });
  }

  /** names are the buttons of the rows that are shown, in their order. */
  names() { return [...this.list.querySelectorAll('.group:not([hidden]) .row:not([hidden]) .name')]; }

  /** rove keeps one of the rows reachable by Tab; the arrows lead to the others. */
  rove(to) {
    if (to) {
      if (this.current && this.current !== to) this.current.tabIndex = -1;
      this.current = to;
      to.tabIndex = 0;
      return;
    }
    if (this.current && this.current.isConnected && !this.current.closest('[hidden]')) return;
    const first = this.list.querySelector('.group:not([hidden]) .row:not([hidden]) .name');
    if (first) this.rove(first);
  }

  key(e) {
    const steps = {ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, Home: -Infinity, End: Infinity};
    if (!(e.key in steps) || e.ctrlKey || e.altKey || e.metaKey || !e.target.classList.contains('name')) return;
    e.preventDefault();
    const all = this.names(), i = all.indexOf(e.target);
    all[Math.min(all.length - 1, Math.max(0, i + steps[e.key]))].focus();
  }
}
