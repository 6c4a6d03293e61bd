// What is known of one object: how it is, what happened to it, its events.

/** fact adds a line to a list of facts, if there is something to say. */
function fact(list, name, value, className) {
  if (value === undefined || value === null || value === '') return;
  add(list, 'dt', '', name);
  add(list, 'dd', className, String(value));
}

/** showHistory is a table of what a container, or a workload, went through. */
function showHistory(parent, spans, changes, say, now) {
  const rows = [...spans.filter(s => s.state === 'exited' || s.to !== s.from).map(s => ({time: at(s.from), class: 'stateful s-' + (s.failed ? 'failed' : s.state), text: stateOf(s), took: (s.to ? at(s.to) : now) - at(s.from)})),
    ...changes.map(c => ({time: at(c.at), class: '', text: c.what}))].reverse().sort((a, b) => b.time - a.time);
  const table = add(parent, 'table');
  const head = add(add(table, 'thead'), 'tr');
  for (const h of ['When', 'What', 'For']) add(head, 'th', '', h);
  const body = add(table, 'tbody');
  for (const r of rows.slice(0, 60)) {
    const tr = add(body, 'tr');
    add(tr, 'td', 'faint', say(r.time));
    add(tr, 'td', r.class, r.text);
    add(tr, 'td', 'faint', r.took ? seconds(r.took) : '');
  }
}

/** showFacts fills a node with an object's state and history. options: say(ms), now, open(object). */
function showFacts(node, model, o, options) {
  node.textContent = '';
  const problem = node.parentElement.querySelector('.problem');
  problem.textContent = o.problem || '';
  problem.hidden = !o.problem;
  const facts = add(node, 'dl');
  if (o.kind) {
    fact(facts, 'State', o.ended ? 'deleted' : o.state);
    fact(facts, 'Replicas', o.replicas);
    add(node, 'h3', '', 'History');
    showHistory(node, o.spans || [], o.changes || [], options.say, options.now);
    const pods = model.podsOf(o).filter(p => p.uid !== o.uid && !p.ended);
    if (pods.length) {
      add(node, 'h3', '', 'Pods');
      showPods(node, pods, options.open);
    }
  } else {
    fact(facts, 'Status', o.status);
    showOwner(facts, model, o, options.open);
    fact(facts, 'Node', o.node);
    for (const c of o.containers || []) {
      add(node, 'h3', '', (c.init ? 'Init container ' : 'Container ') + c.name);
      const own = add(node, 'dl');
      fact(own, 'Image', c.image);
      if (c.restarts) fact(own, 'Restarts', c.restarts);
      showHistory(node, c.spans || [], [], options.say, options.now);
    }
  }
  const events = [...model.eventsOf.get(o.uid) || []].reverse();
  add(node, 'h3', '', 'Events');
  showEvents(add(node, 'div', 'events'), events, {short: true, heads: 'When', time: options.say, most: 30, where: () => ''});
}

/** showOwner leads from a pod to its workload. */
function showOwner(facts, model, p, open) {
  const owner = [...model.workloads.values()].find(w => w.uid !== p.uid && w.namespace === p.namespace && w.kind.toLowerCase() + '/' + w.name === p.owner);
  if (!owner) { fact(facts, 'Of', p.owner === 'pod/' + p.name ? '' : p.owner); return; }
  add(facts, 'dt', '', 'Of');
  const link = add(add(facts, 'dd'), 'button', 'link', p.owner);
  link.type = 'button';
  link.addEventListener('click', () => open(owner));
}

function showPods(node, pods, open) {
  const table = add(node, 'table');
  const body = add(table, 'tbody');
  for (const p of pods) {
    const tr = add(body, 'tr');
    const link = add(add(tr, 'td'), 'button', 'link', p.name);
    link.type = 'button';
    link.addEventListener('click', () => open(p));
    add(tr, 'td', 'stateful s-' + (p.problem ? 'failed' : p.containers.every(c => c.spans && c.spans.length && c.spans[c.spans.length - 1].state === 'ready') ? 'ready' : 'running'), p.status);
    add(tr, 'td', 'faint', (p.containers.reduce((n, c) => n + c.restarts, 0) || 'no') + ' restarts');
  }
}

/** Sheet is the panel beside the page that shows one object. Closing it leads back to where it was opened. */
class Sheet {
  constructor(node) {
    this.node = node;
    this.title = node.querySelector('h2');
    this.body = node.querySelector('.facts');
    this.closed = () => {};
    node.querySelector('.close').addEventListener('click', () => this.close());
    node.addEventListener('keydown', e => { if (e.key === 'Escape' && !e.defaultPrevented) this.close(); });
  }
  get open() { return !this.node.hidden; }
  show(title) {
    if (!this.open) this.opener = document.activeElement;
    this.title.textContent = title;
    this.node.hidden = false;
    this.node.scrollTop = 0;
    document.body.classList.add('with-sheet');
    this.title.focus();
  }
  close() {
    this.node.hidden = true;
    document.body.classList.remove('with-sheet');
    this.closed();
    if (this.opener && this.opener.isConnected) this.opener.focus();
  }
}
