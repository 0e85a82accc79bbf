"""The HTML of report.html; a module, so that it is found wherever the package is installed."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2126 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #dde2e6; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
img, video { max-width: 100%; height: auto }
.pass { color: #1d7a3a } .fail { color: #b3261e } .quiet { color: #66707a }
code { background: #f1f3f5; padding: 0 .2rem }
</style></head><body>
<h1>{{ title }}</h1>
<p class="{{ 'pass' if report.passed else 'fail' }}"><strong>
{%- if report.passed %}Every frame of a surviving stream was labelled.
{%- else %}{{ report.failures | join('; ') }}.{% endif %}</strong></p>
<p>{{ report.scenario.description }} <span class="quiet">Input: {{ report.input }}; bundle: {{ report.bundle.name }};
seed {{ report.seed }};{% if report.pace %} pace: {{ report.pace }};{% endif %} {{ report.created }}.</span></p>
{% if report.too_large %}<p>Played with networks of <code>{{ report.network_size }}</code>, because larger ones
are too slow for this machine at this rate:
{% for play in report.too_large %}
{{ play.network_size }} dropped {{ play.overload }} frames as overload{{ "; " if not loop.last else "." }}
{% endfor %}</p>{% endif %}
{% if video %}<video controls autoplay muted loop src="{{ video }}"></video>{% endif %}
{% if timeline %}<img alt="timeline of faults, states, modes, latency and rate" src="{{ timeline }}">{% endif %}

<h2>Modes</h2>
<table><tr><th>mode</th><th class="n">labels</th><th class="n">labels/s</th><th class="n">latency p50</th>
<th class="n">p95 (ms)</th><th class="n">mIoU</th></tr>
{% for mode, count in report.labels_out.items() %}{% set latency = report.latency_ms.get(mode) or {} %}
<tr><td>{{ mode }}</td><td class="n">{{ count }}</td><td class="n">{{ show(report.label_rate_hz.get(mode)) }}</td>
<td class="n">{{ show(latency.p50) }}</td><td class="n">{{ show(latency.p95) }}</td>
<td class="n">{{ miou((report.miou or {}).get(mode)) }}</td></tr>{% endfor %}</table>
<p class="quiet">Latency: from the publication of the newest frame to the reception of its label image, both transports
included.</p>

<h2>Frames</h2>
<table><tr><th>stream</th><th class="n">sent</th><th class="n">received</th><th class="n">labelled</th>
<th class="n">lost in transport</th><th>dropped by the node</th></tr>
{% for stream, frames in report.frames_in.items() %}
<tr><td>{{ stream }}</td><td class="n">{{ frames.sent }}</td><td class="n">{{ frames.received }}</td>
<td class="n">{{ frames.labelled }}</td><td class="n">{{ report.lost_in_transport[stream] }}</td>
<td>{% for reason, count in report.dropped[stream].items() %}{{ reason }} {{ count }}{{ ", " if not loop.last }}
{%- else %}none{% endfor %}</td></tr>{% endfor %}</table>
<p>Surviving frames without a label: <strong>{{ report.unlabelled_surviving_frames }}</strong>.</p>

<h2>Switches</h2>
<table><tr><th class="n">time (s)</th><th>from</th><th>to</th><th>why</th><th>after</th>
<th class="n">latency (ms)</th></tr>
{% for s in report.switches %}
<tr><td class="n">{{ "%.3f" | format(s.time_s) }}</td><td>{{ s["from"] }}</td><td>{{ s.to }}</td><td>{{ s.cause }}</td>
<td>{{ s.trigger or ("WRONG" if s.wrong else "") }}</td><td class="n">{{ show(s.latency_ms) }}</td></tr>
{% endfor %}</table>

{% if report.miou_by_interval %}<h2>Accuracy</h2>
<p>mIoU {{ miou(report.miou_overall) }} over the whole play.</p>
<table><tr><th class="n">from (s)</th><th class="n">to (s)</th><th>faults</th><th class="n">mIoU</th></tr>
{% for part in report.miou_by_interval %}
<tr><td class="n">{{ show(part.start_s) }}</td><td class="n">{{ show(part.end_s) }}</td>
<td>{{ part.faults | join(", ") or "none" }}</td><td class="n">{{ miou(part.miou) }}</td></tr>{% endfor %}</table>
<table><tr><th>class</th><th class="n">IoU</th></tr>
{% for name, iou in report.iou_by_class.items() %}<tr><td>{{ name }}</td><td class="n">{{ miou(iou) }}</td></tr>
{% endfor %}</table>{% endif %}

{% if report.oracles %}<h2>The same messages under other policies</h2>
<table><tr><th>policy</th><th class="n">moments labelled</th><th class="n">mIoU of these</th>
<th class="n">mIoU, silence counted as error</th></tr>
{% for row in report.oracles %}<tr><td>{{ row.policy }}</td><td class="n">{{ row.labelled }} of {{ row.moments }}</td>
<td class="n">{{ miou(row.miou_given) }}</td><td class="n">{{ miou(row.miou_always) }}</td></tr>{% endfor %}</table>
<p class="quiet">In virtual time; every moment at which the cameras took a picture counts.</p>{% endif %}

<h2>Time in the node (ms, p50 / p95)</h2>
<table><tr><th>mode</th>{% for stage in stages %}<th class="n">{{ stage }}</th>{% endfor %}</tr>
{% for mode, values in report.node_stages_ms.items() %}<tr><td>{{ mode }}</td>
{% for stage in stages %}{% set v = values.get(stage) %}
<td class="n">{% if v %}{{ show(v.p50) }} / {{ show(v.p95) }}{% endif %}</td>
{% endfor %}</tr>{% endfor %}</table>

{% if report.node_memory %}<p>Memory of the node: {{ report.node_memory.start_mib }} MiB at the start,
{{ report.node_memory.end_mib }} MiB at the end, {{ report.node_memory.max_mib }} MiB at most
{%- if report.node_memory.slope_mib_per_hour is number %}; slope
{{ show(report.node_memory.slope_mib_per_hour) }} MiB an hour{% endif %}.</p>{% endif %}

<h2>Made with</h2>
<table>{% for group in (report.machine, report.versions) %}{% for key, value in group.items() %}
<tr><td>{{ key }}</td><td>{{ value }}</td></tr>{% endfor %}{% endfor %}
<tr><td>command</td><td><code>{{ report.command }}</code></td></tr></table>
</body></html>
"""
