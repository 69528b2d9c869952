/** Looks and behaviour of the report: light and dark as the reader's system has it. */

export const STYLE = `
:root{color-scheme:light dark;--ink:#1c2024;--dim:#60646c;--paper:#fff;--line:#d9d9e0;
--own:#0b68cb;--other:#8b8d98;--demand:#30a46c}
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--dim:#b0b4ba;--paper:#15171a;
--line:#363a3f;--own:#70b8ff;--other:#7e808a;--demand:#3dd68c}}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.7rem;margin:0 0 .3em}h2{font-size:1.15rem;margin:2em 0 .5em}p{color:var(--dim)}
table{border-collapse:collapse;margin:0 0 1em;font-variant-numeric:tabular-nums}
th,td{padding:4px 12px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left}thead th{color:var(--dim);font-weight:600}
.wide{overflow:auto;max-height:480px}.plots{display:flex;flex-wrap:wrap;gap:16px;
overflow-x:auto}.verdict{color:var(--ink);font-weight:600}
svg{flex:1 1 460px;max-width:100%;font:11px system-ui,sans-serif}svg text{fill:var(--dim)}
svg .title{font-weight:600;font-size:14px;fill:var(--ink)}.grid line{stroke:var(--line)}
.own circle{fill:var(--own)}.own text{fill:var(--own);font-weight:600}
.other circle{fill:var(--other)}.curve{fill:none;stroke:var(--own);stroke-dasharray:4 3}
.controls{display:flex;flex-wrap:wrap;gap:16px;align-items:center}
fieldset{border:1px solid var(--line);border-radius:6px}
fieldset label{display:inline-block;margin-right:12px}
figure{margin:12px 0}.demand{fill:var(--demand);fill-opacity:.3;stroke:var(--demand)}
.given{fill:none;stroke-width:1.8}.key{display:inline-block;width:14px;height:3px;
margin-right:5px;vertical-align:middle}
@media(max-width:560px){.plot{min-width:460px}}`;

/** Draws one container's demand and what policies gave it; all numbers come from the page. */
export const SCRIPT = `
(function () {
  var all = JSON.parse(document.getElementById('data').textContent);
  var chooser = document.getElementById('container');
  var shown = document.getElementById('shown');
  var figure = document.getElementById('over-time');
  var W = Math.max(300, Math.min(1080, figure.clientWidth || 1080));
  var H = 220, L = 60, T = 24, B = 24, NS = 'http://www.w3.org/2000/svg';
  if (all.length === 0) return;
  var names = all[0].given.map(function (one) { return one.policy; });
  function hue(index) { return 'hsl(' + ((210 + index * 360 / names.length) % 360) + ' 70% 55%)'; }
  function make(parent, tag, attributes, text) {
    var node = document.createElementNS(NS, tag);
    for (var key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    parent.appendChild(node);
    return node;
  }
  function path(values, x, y) {
    var d = '';
    for (var i = 0; i < values.length; i += 1) {
      d += (i ? 'L' : 'M') + x(i).toFixed(1) + ' ' + y(values[i]).toFixed(1);
      d += 'L' + x(i + 1).toFixed(1) + ' ' + y(values[i]).toFixed(1);
    }
    return d;
  }
  function draw(one, key, title, on) {
    var demand = one[key];
    if (!demand) return;
    var lines = one.given.filter(function (each) { return on[each.policy]; });
    var top = Math.max.apply(null, demand.concat.apply(demand, lines.map(function (each) {
      return each[key];
    }))) * 1.05 || 1;
    var svg = make(figure, 'svg', { viewBox: '0 0 ' + W + ' ' + H, role: 'img',
      'aria-label': title + ' of ' + one.name });
    function x(i) { return L + (W - L) * i / demand.length; }
    function y(v) { return H - B - (H - B - T) * v / top; }
    make(svg, 'text', { x: L, y: 14, 'class': 'title' }, title);
    var grid = make(svg, 'g', { 'class': 'grid' });
    [0, 0.25, 0.5, 0.75, 1].forEach(function (part) {
      var at = y(top * part);
      make(grid, 'line', { x1: L, x2: W, y1: at, y2: at });
      make(grid, 'text', { x: L - 6, y: at + 4, 'text-anchor': 'end' },
        Number((top * part).toPrecision(3)));
      var hours = demand.length * part * one.stepS / 3600;
      make(grid, 'text', { x: x(demand.length * part), y: H - 6,
        'text-anchor': part === 1 ? 'end' : 'middle' },
        hours < 72 ? hours.toFixed(0) + ' h' : (hours / 24).toFixed(1) + ' days');
    });
    var area = path(demand, x, y) + 'L' + x(demand.length) + ' ' + y(0) + 'L' + x(0) + ' ' + y(0);
    make(svg, 'path', { d: area + 'Z', 'class': 'demand' });
    lines.forEach(function (each) {
      make(svg, 'path', { d: path(each[key], x, y), 'class': 'given',
        stroke: hue(names.indexOf(each.policy)) });
    });
  }
  function redraw() {
    var on = {};
    shown.querySelectorAll('input').forEach(function (box) { on[box.value] = box.checked; });
    figure.textContent = '';
    var one = all[chooser.value];
    draw(one, 'cpu', 'CPU, cores', on);
    draw(one, 'memory', 'Memory, MB', on);
  }
  all.forEach(function (one, index) { chooser.add(new Option(one.name, index)); });
  var usual = ['classic', 'adaptive', 'configured'];
  names.forEach(function (name, index) {
    var label = document.createElement('label');
    var box = document.createElement('input');
    var key = document.createElement('span');
    box.type = 'checkbox';
    box.value = name;
    box.checked = names.length < 3 || usual.indexOf(name) >= 0;
    key.className = 'key';
    key.style.background = hue(index);
    label.append(box, key, name);
    shown.appendChild(label);
  });
  chooser.addEventListener('change', redraw);
  shown.addEventListener('change', redraw);
  redraw();
})();`;
