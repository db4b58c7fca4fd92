// Data frames from answers of Prometheus' HTTP API, as Grafana's Prometheus data source makes them.
'use strict';

const VALUE = 'Value';
const TIME = 'Time';

function sample(text) {
  const infinity = { '+Inf': Infinity, Inf: Infinity, '-Inf': -Infinity }[text];
  return infinity ?? Number.parseFloat(text);
}

function sorted(labels) {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

// What the series is called; undefined where `__auto` leaves it to the panel.
function legend(target, labels) {
  const format = target.legendFormat ?? '';
  const { __name__: metric = '', ...others } = labels;
  if (format === '__auto' && Object.keys(labels).length > 0) {
    return undefined;
  }
  if (format !== '' && format !== '__auto') {
    return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, name) => labels[name] ?? '');
  }
  const pairs = Object.entries(others).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const whole = pairs.length > 0 ? `${metric}{${pairs.join(', ')}}` : metric;
  return whole === '' ? target.expr : whole;
}

function seriesFrames(result, interval) {
  const { refId, target, response } = result;
  const { resultType, result: found } = response.data;
  const series = resultType === 'scalar' ? [{ metric: {}, value: found }] : found;
  return series.map((one) => {
    const labels = sorted(one.metric);
    const samples = one.values ?? [one.value];
    const name = legend(target, labels);
    return {
      refId,
      name,
      length: samples.length,
      meta: { type: 'timeseries-multi', custom: { resultType } },
      fields: [
        { name: TIME, type: 'time', config: { interval }, values: samples.map(([at]) => at * 1000) },
        {
          name: labels.__name__ ?? VALUE,
          type: 'number',
          labels,
          config: name ? { displayNameFromDS: name } : {},
          values: samples.map(([, value]) => sample(value)),
        },
      ],
    };
  });
}

// `__auto`: the labels that differ between the series of one query.
function nameAutomatically(data, frames) {
  const known = frames.map((frame) => frame.fields[1].labels).filter((labels) => labels.__name__);
  for (const frame of frames) {
    const field = frame.fields[1];
    if (field.labels.__name__ === field.name) {
      const common = frames.length === 1 ? {} : data.findCommonLabels(known);
      const plain = { ...field, name: VALUE };
      field.config.displayNameFromDS = data.getFieldDisplayName(plain, frame, frames, common);
    }
  }
}

function table(refId, frames, many) {
  const names = [];
  for (const frame of frames) {
    names.push(...Object.keys(frame.fields[1].labels).filter((name) => !names.includes(name)));
  }
  const rows = frames.flatMap(({ fields: [time, value] }) =>
    value.values.map((number, index) => ({ at: time.values[index], labels: value.labels, number }))
  );
  rows.sort((a, b) => a.at - b.at);
  return {
    refId,
    length: rows.length,
    meta: { ...frames[0]?.meta, preferredVisualisationType: 'rawPrometheus' },
    fields: [
      { name: TIME, type: 'time', config: {}, values: rows.map((row) => row.at) },
      ...names.map((name) => ({
        name, type: 'string', config: { filterable: true }, values: rows.map((row) => row.labels[name] ?? ''),
      })),
      { name: many ? `${VALUE} #${refId}` : VALUE, type: 'number', config: {}, values: rows.map((row) => row.number) },
    ],
  };
}

// Cumulative buckets become the counts between one boundary and the next.
function heatmaps(refId, frames) {
  const groups = new Map();
  for (const frame of frames) {
    const { le, __name__, ...others } = frame.fields[1].labels;
    const key = JSON.stringify(others);
    groups.set(key, [...(groups.get(key) ?? []), frame]);
  }
  const boundary = (frame) => {
    const { displayNameFromDS } = frame.fields[1].config;
    return sample(displayNameFromDS ?? frame.fields[1].labels.le ?? '');
  };
  return [...groups.values()].map((group) => {
    const rows = group.sort((a, b) => boundary(a) - boundary(b));
    const counts = rows.map((row, index) =>
      row.fields[1].values.map((value, at) => {
        const below = index === 0 ? 0 : rows[index - 1].fields[1].values[at] ?? 0;
        return value - below < 1e-9 ? 0 : value - below;
      })
    );
    return {
      refId,
      length: rows[0].length,
      meta: { type: 'heatmap-rows' },
      fields: [
        rows[0].fields[0],
        ...rows.map(({ fields: [, value] }, index) => ({
          ...value,
          name: value.config.displayNameFromDS ?? value.labels.le,
          config: { displayNameFromDS: value.config.displayNameFromDS ?? value.labels.le },
          values: counts[index],
        })),
      ],
    };
  });
}

function framesOf(data, results, interval) {
  const tables = new Set(results.filter(({ target }) => target.format === 'table').map(({ refId }) => refId));
  const series = [];
  const rows = [];
  const buckets = [];
  for (const result of results) {
    if (result.response.status !== 'success') {
      continue;
    }
    const frames = seriesFrames(result, interval);
    const { refId, target } = result;
    if (frames.length === 0 && (target.format !== 'table' || tables.size === 1)) {
      series.push({ refId, length: 0, fields: [] });
    } else if (target.format === 'table') {
      rows.push(table(refId, frames, tables.size > 1));
    } else {
      if (target.legendFormat === '__auto') {
        nameAutomatically(data, frames);
      }
      (target.format === 'heatmap' ? buckets : series).push(
        ...(target.format === 'heatmap' ? heatmaps(refId, frames) : frames)
      );
    }
  }
  return [...series, ...rows, ...buckets];
}

module.exports = { framesOf };
