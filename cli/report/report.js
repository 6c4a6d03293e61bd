// The report: everything is known, and drawn once.

const data = DATA; // as it is, or compressed

/** unpack reads compressed data: gzip, in base64. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).json();
}

function showReport(report) {
  const began = at(report.began), ended = Math.max(at(report.ended), began + 1);
  const say = ms => seconds(Math.max(0, ms - began));
  const model = new Model();
  model.take({whole: true, workloads: report.workloads, pods: report.pods, events: report.events});
  const sheet = new Sheet(byId('sheet'));
  const open = (o, container) => {
    sheet.show(model.titleOf(o));
    line.axis();
    showFacts(sheet.body, model, o, {say, now: ended, open});
    for (const c of o.containers || []) {
      if (!c.log || container && c.name !== container) continue;
      sheet.body.insertBefore(element('h3', '', 'Log of ' + c.name), sheet.body.lastElementChild.previousElementSibling);
      sheet.body.insertBefore(element('pre', '', logOf(c)), sheet.body.lastElementChild.previousElementSibling);
    }
  };
  const line = new TimeLine(byId('line'), model, {open, say, label: ms => span(ms - began), moved: () => line.show(began, ended)});
  line.from = began;
  line.update();
  line.show(began, ended);
  addEventListener('resize', () => line.axis());
  sheet.closed = () => line.axis();
  showHead(report, ended - began);
  const lists = new Lists(report, model, {say, open});
  lists.show([]);
  search(words => {
    line.filter(words);
    line.show(began, ended);
    lists.show(words);
  });
  document.documentElement.dataset.shown = performance.now().toFixed(0);
}

function showHead(report, took) {
  byId('outcome').textContent = report.passed ? 'passed' : 'failed';
  byId('outcome').classList.toggle('no', !report.passed);
  byId('when').textContent = new Date(report.began).toLocaleString() + ', ' + seconds(took) + ', skiff ' + report.version;
  if (report.message) add(byId('message'), 'pre', '', plain(report.message)).style.marginTop = '12px';
}

const logOf = c => (c.cut ? '… earlier parts are missing; report.json may have more\n' : '') + plain(c.log);

/** Lists are the tables and texts below the time line, of which a search leaves some. */
class Lists {
  constructor(report, model, options) {
    this.report = report;
    this.model = model;
    this.options = options;
    const texts = [];
    for (const p of report.pods || []) {
      for (const c of p.containers) {
        if (c.log) texts.push({title: model.titleOf(p) + ' · ' + c.name, text: () => logOf(c), find: c.log, open: (c.spans || []).some(s => s.failed && s.state === 'exited')});
      }
    }
    this.details('logs', texts, 'Nothing was written.');
    this.details('objects', (report.objects || []).map(o => ({title: model.where(o) + o.kind.toLowerCase() + '/' + o.name, text: () => o.yaml, find: o.yaml})), 'There were none.');
  }

  /** details makes a folded text of each; those of a failure are open, unless there are many. */
  details(id, texts, none) {
    const parent = byId(id);
    const open = texts.filter(t => t.open).slice(0, 3);
    this[id] = texts.map(t => {
      const d = add(parent, 'details');
      add(d, 'summary', '', t.title);
      d.addEventListener('toggle', () => { if (d.open && d.children.length === 1) add(d, 'pre', '', t.text()); });
      d.open = open.includes(t);
      return {node: d, text: t};
    });
    if (!texts.length) add(parent, 'p', 'faint', none);
  }

  show(words) {
    const {report, model, options} = this;
    byId('wrong').hidden = showProblems(byId('problems'), model, words, options.open) === 0;
    this.workloads((report.workloads || []).filter(w => matches(words, model.titleOf(w), w.state)));
    showEvents(byId('events'), (report.events || []).filter(e => matches(words, e.type, e.reason, e.namespace || '', e.of, e.message)), {time: options.say, where: e => model.where(e)});
    for (const d of [...this.logs, ...this.objects]) {
      if (words.length) d.find ??= (d.text.title + ' ' + d.text.find).toLowerCase();
      d.node.hidden = !words.every(w => d.find.includes(w));
    }
  }

  workloads(all) {
    const parent = byId('workloads');
    parent.textContent = '';
    if (!all.length) { add(parent, 'p', 'faint', 'There were none.'); return; }
    const table = add(parent, 'table');
    const head = add(add(table, 'thead'), 'tr');
    for (const h of ['Name', 'State', 'Took', 'Changes']) add(head, 'th', '', h);
    const body = add(table, 'tbody');
    for (const w of all) {
      const tr = add(body, 'tr', w.ready ? '' : 'warning');
      const link = add(add(tr, 'td'), 'button', 'link', this.model.titleOf(w));
      link.type = 'button';
      link.addEventListener('click', () => this.options.open(w));
      add(tr, 'td', 'type', w.state);
      add(tr, 'td', '', w.done ? seconds(at(w.done) - at(w.began)) : '–');
      add(tr, 'td', 'faint', (w.changes || []).map(c => c.what).join('; '));
    }
  }
}

/** search calls found with the words, a moment after the last key. */
function search(found) {
  const box = byId('search');
  let timer = 0;
  box.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => found(wordsOf(box.value)), 80);
  });
  addEventListener('keydown', e => {
    if (e.key !== '/' || e.target.closest('input, textarea, select') || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    box.focus();
  });
}

if (typeof data !== 'string') showReport(data);
else unpack(data).then(showReport).catch(e => { byId('message').textContent = 'This browser cannot show the report (' + e + '); report.json beside it has the same.'; });
