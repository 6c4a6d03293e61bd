// The log of a container: followed over restarts, bounded, searchable, and paused without loss of what fits.

const MOST_LINES = 5000, MOST_LENGTH = 10000;

class LogView {
  constructor() {
    this.lines = byId('log-lines');
    this.state = byId('log-state');
    this.choice = byId('log-container');
    this.kept = [];     // lines, each {text, break}
    this.waiting = [];  // lines that are not shown yet
    this.paused = false;
    byId('log-pause').addEventListener('click', () => this.pause(!this.paused));
    byId('log-search').addEventListener('input', () => this.redraw());
    byId('log-previous').addEventListener('change', () => this.follow());
    this.choice.addEventListener('change', () => { byId('log-previous').checked = false; this.follow(); });
  }

  /** show begins with a pod; container names the one to choose. */
  show(pod, container) {
    byId('log').hidden = false;
    this.choice.textContent = '';
    for (const c of pod.containers) add(this.choice, 'option', '', c.name).value = c.name;
    const regular = pod.containers.find(c => !c.init) || pod.containers[0];
    this.choice.value = container || regular && regular.name || '';
    this.choice.hidden = pod.containers.length < 2;
    this.pod = pod;
    byId('log-search').value = '';
    byId('log-previous').checked = false;
    this.pause(false);
    this.follow();
  }

  close() {
    byId('log').hidden = true;
    if (this.request) this.request.abort();
    this.request = this.pod = null;
    this.clear();
  }

  clear() {
    this.kept = [];
    this.waiting = [];
    this.lines.textContent = '';
  }

  /** see takes note of how the pod is now. A container that has begun anew is followed anew. */
  see(pod) {
    if (!this.pod || pod.uid !== this.pod.uid) return;
    this.pod = pod;
    const c = this.container();
    byId('log-before').hidden = !(c && c.restarts);
    if (this.request || !c || byId('log-previous').checked || !this.runs(c)) return;
    if (this.run !== c.restarts || !this.begun) this.follow(true);
  }

  container() { return this.pod && this.pod.containers.find(c => c.name === this.choice.value); }
  runs(c) { const last = (c.spans || []).at(-1); return last && (last.state === 'running' || last.state === 'ready' || last.state === 'exited'); }

  /** follow reads the log from its last lines on; again after a restart, below what is there. */
  async follow(again) {
    if (this.request) this.request.abort();
    if (!again) this.clear();
    const c = this.container();
    if (!c) return;
    byId('log-before').hidden = !c.restarts;
    const request = this.request = new AbortController();
    const previous = byId('log-previous').checked;
    const query = new URLSearchParams({namespace: this.pod.namespace, pod: this.pod.name, container: c.name, previous});
    this.run = c.restarts;
    this.begun = false;
    this.say('opening');
    try {
      const answer = await fetch('/log?' + query, {signal: request.signal});
      if (!answer.ok) throw new Error((await answer.text()).trim());
      this.begun = true;
      if (again && this.kept.length + this.waiting.length) this.take(['— restart ' + c.restarts + ' —'], true);
      this.say(previous ? 'the run before its last restart' : 'following');
      await this.read(answer.body);
      this.end(request, previous ? 'the run before its last restart' : 'it has ended');
    } catch (e) {
      if (e.name !== 'AbortError') this.end(request, String(e.message || e));
    }
  }

  end(request, text) {
    if (this.request !== request) return;
    this.request = null;
    this.say(text);
    if (this.pod) this.see(this.pod);
  }

  async read(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const {done, value} = await reader.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      if (rest.length > MOST_LENGTH * 2) { lines.push(rest); rest = ''; }
      this.take(lines);
    }
    if (rest) this.take([rest]);
  }

  take(lines, isBreak) {
    for (const text of lines) {
      const t = plain(text.endsWith('\r') ? text.slice(0, -1) : text);
      this.waiting.push({text: t.length > MOST_LENGTH ? t.slice(0, MOST_LENGTH) + ' …' : t, break: isBreak});
    }
    if (this.waiting.length > MOST_LINES) this.waiting.splice(0, this.waiting.length - MOST_LINES);
    if (this.paused) { this.label(); return; }
    if (!this.drawing) this.drawing = requestAnimationFrame(() => { this.drawing = 0; this.flush(); });
  }

  flush() {
    if (this.paused) return;
    const below = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 40;
    const words = wordsOf(byId('log-search').value);
    const fresh = document.createDocumentFragment();
    for (const l of this.waiting) {
      this.kept.push(l);
      l.node = this.lineOf(l, words);
      fresh.append(l.node);
    }
    this.waiting = [];
    this.lines.append(fresh);
    while (this.kept.length > MOST_LINES) this.kept.shift().node.remove();
    if (below) this.lines.scrollTop = this.lines.scrollHeight;
  }

  lineOf(l, words) {
    const node = element('div', l.break ? 'break' : '');
    node.hidden = !l.break && !matches(words, l.text);
    if (!words.length || node.hidden) { node.textContent = l.text; return node; }
    const escaped = words.map(w => w.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    l.text.split(new RegExp('(' + escaped.join('|') + ')', 'i')).forEach((part, i) => i % 2 ? add(node, 'mark', '', part) : node.append(part));
    return node;
  }

  redraw() {
    const words = wordsOf(byId('log-search').value);
    this.lines.textContent = '';
    for (const l of this.kept) this.lines.append(l.node = this.lineOf(l, words));
    this.lines.scrollTop = this.lines.scrollHeight;
    if (words.length) this.say(this.kept.filter(l => !l.node.hidden && !l.break).length + ' of ' + this.kept.length + ' lines');
  }

  pause(on) {
    this.paused = on;
    byId('log-pause').setAttribute('aria-pressed', on);
    this.label();
    if (!on) { this.flush(); this.lines.scrollTop = this.lines.scrollHeight; }
  }

  label() { byId('log-pause').textContent = !this.paused ? 'Pause' : this.waiting.length ? 'Go on (' + this.waiting.length + ' new)' : 'Go on'; }
  say(text) { this.state.textContent = text; }
}
