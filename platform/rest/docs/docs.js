'use strict';
// Renders /openapi.json: operations by room, who may, an example, parameters, schemas, and a form to send each.

const el = (tag, props = {}, ...kids) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) k in e ? (e[k] = v) : e.setAttribute(k, v);
  e.append(...kids.filter((k) => k !== null && k !== undefined));
  return e;
};

// said is prose with its `code` as code.
const said = (prose) => prose.split('`').map((part, i) => (i % 2 ? el('code', {}, part) : part));

let doc;
const resolve = (s) => (s && s.$ref ? doc.components.schemas[s.$ref.split('/').pop()] : s);
const nameOf = (s) => {
  if (!s) return '';
  if (s.$ref) return s.$ref.split('/').pop();
  if (s.type === 'array') return nameOf(s.items) + '[]';
  return [].concat(s.type || 'any').join(' | ') + (s.format ? ' (' + s.format + ')' : '');
};
const rules = (s) => {
  s = s || {};
  const out = [];
  if (s.enum) out.push('one of ' + s.enum.join(', '));
  if (s.pattern) out.push('matches ' + s.pattern);
  for (const k of ['minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems', 'default']) if (k in s) out.push(k + ' ' + s[k]);
  return out.join(', ');
};

const text = (v) => JSON.stringify(v, null, 2);
const json = (content) => (content && content['application/json']) || {};
const success = (op) => Object.entries(op.responses || {}).find(([status]) => status !== 'default') || ['', {}];

// filled puts a value for each parameter into a path and its query.
function filled(path, params, valueOf) {
  const query = new URLSearchParams();
  for (const p of params) {
    const v = valueOf(p);
    if (v === undefined || v === '') continue;
    if (p.in === 'path') path = path.replace('{' + p.name + '}', encodeURIComponent(v));
    if (p.in === 'query') query.append(p.name, v);
  }
  return path + (query.size ? '?' + query : '');
}

// exchange shows the example as it went over the wire.
function exchange(method, path, op) {
  const params = op.parameters || [];
  const asked = [method.toUpperCase() + ' ' + filled(path, params, (p) => p.example)];
  if (!(op.security || []).some((s) => Object.keys(s).length === 0)) asked.push('Authorization: Bearer …');
  for (const p of params) if (p.in === 'header' && p.example !== undefined) asked.push(p.name + ': ' + p.example);
  const body = json(op.requestBody && op.requestBody.content).example;
  if (body !== undefined) asked.push('Content-Type: application/json', '', text(body));
  const [status, answer] = success(op);
  const answered = [(status + ' ' + (answer.description || '')).trim()];
  const example = json(answer.content).example;
  if (example !== undefined) answered.push('', text(example));
  return el('div', { className: 'exchange' }, el('pre', { tabIndex: 0, ariaLabel: 'Request' }, asked.join('\n')),
    el('pre', { tabIndex: 0, ariaLabel: 'Answer' }, answered.join('\n')));
}

// example makes a value of a schema, for the form of an operation without one.
function example(schema, depth = 0) {
  const s = resolve(schema) || {};
  if (s.examples) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  switch ([].concat(s.type)[0]) {
    case 'object': {
      const o = {};
      if (depth < 4) for (const k of s.required || []) o[k] = example((s.properties || {})[k], depth + 1);
      return o;
    }
    case 'array': return [];
    case 'integer': case 'number': return s.minimum || 0;
    case 'boolean': return false;
    default: return s.format === 'uuid' ? '00000000-0000-0000-0000-000000000000' : s.format === 'date-time' ? new Date().toISOString() : '';
  }
}

function fields(schema, depth = 0) {
  const s = resolve(schema);
  if (!s || !s.properties || depth > 3) return el('p', {}, nameOf(schema));
  const table = el('table', {}, el('tr', {}, el('th', {}, 'Field'), el('th', {}, 'Type'), el('th', {}, 'Rules')));
  for (const [k, v] of Object.entries(s.properties)) {
    const inner = resolve(v.items || v);
    table.append(el('tr', {}, el('td', {}, el('code', {}, k), (s.required || []).includes(k) ? ' *' : ''),
      el('td', {}, nameOf(v), inner && inner.properties ? fields(v.items || v, depth + 1) : null),
      el('td', {}, [v.description, rules(v)].filter(Boolean).join('; '))));
  }
  return table;
}

function parameters(op) {
  if (!op.parameters) return null;
  const table = el('table', {}, el('tr', {}, el('th', {}, 'Parameter'), el('th', {}, 'In'), el('th', {}, 'Type'), el('th', {}, 'Rules')));
  for (const p of op.parameters) {
    table.append(el('tr', {}, el('td', {}, el('code', {}, p.name), p.required ? ' *' : ''), el('td', {}, p.in),
      el('td', {}, nameOf(p.schema)), el('td', {}, [p.description, rules(p.schema)].filter(Boolean).join('; '))));
  }
  return table;
}

function form(method, path, op) {
  const inputs = [];
  const box = el('div', { className: 'try' });
  for (const p of op.parameters || []) {
    const known = p.example === undefined ? '' : String(p.example);
    const input = el('input', { value: p.required ? known : '', placeholder: p.required ? 'required' : known && 'like ' + known });
    inputs.push([p, input]);
    box.append(el('label', {}, el('code', {}, p.name), input));
  }
  const content = op.requestBody && json(op.requestBody.content);
  const value = content ? text(content.example === undefined ? example(content.schema) : content.example) : '';
  const body = content ? el('textarea', { value, rows: Math.min(24, value.split('\n').length + 1), spellcheck: false, ariaLabel: 'Body' }) : null;
  const answer = el('pre', { hidden: true, ariaLive: 'polite' });
  const send = el('button', { type: 'button', onclick: async () => {
    const headers = { Accept: 'application/json' };
    const token = document.getElementById('token');
    if (token.value.trim()) headers.Authorization = 'Bearer ' + token.value.trim();
    for (const [p, input] of inputs) if (p.in === 'header' && input.value !== '') headers[p.name] = input.value;
    if (body && body.value.trim()) headers['Content-Type'] = 'application/json';
    answer.hidden = false;
    answer.textContent = '…';
    const url = filled(path, inputs.map(([p]) => p), (p) => inputs.find(([q]) => q === p)[1].value);
    try {
      const r = await fetch(url, { method: method.toUpperCase(), headers, body: body && body.value.trim() ? body.value : undefined });
      let shown = await r.text();
      let problem = null;
      try {
        const v = JSON.parse(shown);
        shown = text(v);
        problem = v.code && v.type;
        if (v.access_token) token.value = v.access_token; // whoever logs in here goes on as that account
      } catch { /* no JSON */ }
      answer.replaceChildren(r.status + ' ' + r.statusText + '\n',
        [...r.headers].map(([k, v]) => k + ': ' + v).join('\n') + '\n\n', shown,
        problem ? el('a', { href: problem }, '\nwhat ' + problem.split('/').pop() + ' means') : '');
    } catch (e) { answer.textContent = String(e); }
  } }, 'Send');
  box.append(...[body, el('div', {}, send), answer].filter(Boolean));
  return box;
}

function operation(method, path, op) {
  const card = el('details', { id: op.operationId }, el('summary', {},
    el('span', { className: 'method' }, method.toUpperCase()), el('span', { className: 'path' }, path),
    el('span', {}, op.summary || ''), el('span', { className: 'who', title: 'who may' }, op['x-permission'] || '')));
  card.dataset.find = [method, path, op.summary, op.operationId, op['x-permission']].join(' ').toLowerCase();
  card.draw = () => {
    if (card.dataset.drawn) return;
    card.dataset.drawn = '1';
    const inside = el('div', { className: 'body' }, op.description ? el('p', {}, ...said(op.description)) : null,
      el('h4', {}, 'Example'), exchange(method, path, op), op.parameters ? el('h4', {}, 'Parameters') : null, parameters(op));
    if (op.requestBody) for (const [type, c] of Object.entries(op.requestBody.content)) inside.append(el('h4', {}, 'Body, ' + type), fields(c.schema));
    for (const [status, r] of Object.entries(op.responses || {})) {
      if (status === 'default') { inside.append(el('h4', {}, 'Anything else'), el('p', {}, 'A ', el('a', { href: '/problems' }, 'problem'), '.')); continue; }
      inside.append(el('h4', {}, ('Answer ' + status + ' ' + (r.description || '')).trim()));
      for (const c of Object.values(r.content || {})) inside.append(fields(c.schema));
    }
    inside.append(el('h4', {}, 'Try it'), form(method, path, op));
    card.append(inside);
  };
  card.addEventListener('toggle', () => {
    if (!card.open) return;
    card.draw();
    history.replaceState(null, '', '#' + card.id);
  });
  return card;
}

async function main() {
  doc = await (await fetch('/openapi.json')).json();
  document.getElementById('title').textContent = doc.info.title + ' ' + doc.info.version;
  document.getElementById('about').append(...said(doc.info.description || ''));
  const rooms = new Map();
  for (const [path, methods] of Object.entries(doc.paths || {})) {
    for (const [method, op] of Object.entries(methods)) {
      const tag = (op.tags || ['other'])[0];
      if (!rooms.has(tag)) rooms.set(tag, []);
      rooms.get(tag).push(operation(method, path, op));
    }
  }
  const nav = document.getElementById('tags');
  const operations = document.getElementById('operations');
  operations.replaceChildren();
  for (const [tag, cards] of [...rooms].sort()) {
    nav.append(el('a', { href: '#room-' + tag }, tag));
    operations.append(el('section', {}, el('h2', { id: 'room-' + tag }, tag), ...cards));
  }
  document.getElementById('filter').addEventListener('input', (e) => {
    const want = e.target.value.toLowerCase();
    for (const card of document.querySelectorAll('details')) card.hidden = !card.dataset.find.includes(want);
    for (const s of document.querySelectorAll('section')) s.hidden = !s.querySelector('details:not([hidden])');
  });
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.draw) { target.open = true; target.draw(); }
  if (target) target.scrollIntoView();
}

main().catch((e) => { document.getElementById('operations').textContent = 'The reference could not be read: ' + e; });
