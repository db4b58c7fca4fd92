// What a viewer sees of a panel's frames: texts, colours and links, by Grafana's own display processors.
'use strict';

const SINGLE_VALUES = new Set(['stat', 'gauge', 'bargauge', 'piechart']);
const LINKED_ROWS = 200;
const TICKS = 5;

function finite(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

function linksOf(field, at) {
  return field.getLinks(at).map(({ title, href }) => ({ title, url: href }));
}

function cellsOf({ data }, field) {
  return field.values.map((value, row) => {
    const shown = field.display(value);
    return {
      text: data.formattedValueToString(shown),
      color: shown.color ?? null,
      links: field.config.links?.length && row < LINKED_ROWS ? linksOf(field, { valueRowIndex: row }) : [],
    };
  });
}

function calculationsOf({ data }, panel, field) {
  const calcs = (panel.options?.legend?.calcs ?? []).filter((id) => data.fieldReducers.getIfExists(id));
  if (field.type !== 'number' || calcs.length === 0) {
    return [];
  }
  const results = data.reduceField({ field, reducers: calcs });
  return calcs.map((id) => ({
    name: data.fieldReducers.get(id).name, text: data.formattedValueToString(field.display(results[id])),
  }));
}

function fieldOf(grafana, panel, field, frame, frames) {
  const { data, theme } = grafana;
  return {
    name: field.name,
    display_name: data.getFieldDisplayName(field, frame, frames),
    type: field.type,
    labels: field.labels ?? {},
    config: field.config,
    values: field.values.map((value) => (typeof value === 'number' && !Number.isFinite(value) ? null : value)),
    cells: cellsOf(grafana, field),
    color: field.type === 'time' ? null : data.getFieldSeriesColor(field, theme).color,
    calculations: calculationsOf(grafana, panel, field),
  };
}

function singleValues(grafana, panel, frames, replaceVariables, timezone) {
  if (!SINGLE_VALUES.has(panel.type)) {
    return [];
  }
  const { data, theme } = grafana;
  const found = data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: { calcs: [], ...panel.options?.reduceOptions },
    replaceVariables, theme, data: frames, timeZone: timezone,
    sparkline: panel.type === 'stat' && (panel.options?.graphMode ?? 'area') !== 'none',
  });
  return found.map(({ display, field, sparkline, getLinks }) => ({
    title: display.title ?? '',
    text: data.formattedValueToString(display),
    color: display.color ?? null,
    value: finite(display.numeric) ? display.numeric : null,
    percent: display.percent ?? null,
    min: field.min ?? null,
    max: field.max ?? null,
    links: getLinks ? getLinks().map(({ title, href }) => ({ title, url: href })) : [],
    trend: (sparkline?.x ? sparkline.y.values : []).map((value, row) => [
      sparkline.x.values[row], finite(value) ? value : null,
    ]),
  }));
}

// Where the lines or bars of a graph lie, stacked ones on top of each other.
function extent(panel, frames) {
  const allStacked = panel.type === 'barchart' && (panel.options?.stacking ?? 'none') !== 'none';
  let [low, high] = [Infinity, -Infinity];
  const sums = new Map();
  for (const frame of frames) {
    const times = frame.fields.find((field) => field.type === 'time')?.values;
    for (const field of frame.fields.filter((one) => one.type === 'number')) {
      const { custom = {}, min, max } = field.config;
      const stacked = allStacked || (custom.stacking && custom.stacking.mode !== 'none');
      field.values.forEach((value, index) => {
        if (finite(value)) {
          const at = stacked ? `${custom.stacking?.group}/${times?.[index] ?? index}` : null;
          const height = stacked ? (sums.get(at) ?? 0) + value : value;
          sums.set(at, height);
          [low, high] = [Math.min(low, stacked ? 0 : height), Math.max(high, height)];
        }
      });
      for (const bound of [min, custom.axisSoftMin]) {
        low = finite(bound) ? Math.min(low, bound) : low;
      }
      for (const bound of [max, custom.axisSoftMax]) {
        high = finite(bound) ? Math.max(high, bound) : high;
      }
    }
  }
  return [low, high];
}

function stepOf(span, unit) {
  const base = ['bytes', 'kbytes', 'mbytes', 'gbytes'].includes(unit) ? 1024 : 10;
  const power = base ** Math.floor(Math.log(span) / Math.log(base));
  const nice = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 2.5, 5, 10];
  return power * (nice.find((step) => step * power >= span) ?? base);
}

// The marks of the vertical axis, with the texts that the first field's unit gives them.
function axisOf({ data }, panel, frames) {
  const field = frames.flatMap((frame) => frame.fields).find((one) => one.type === 'number');
  let [low, high] = extent(panel, frames);
  if (!field || low > high) {
    return [];
  }
  if (low === high) {
    [low, high] = low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  }
  const smallest = field.config.decimals === 0 ? 1 : 0;
  const step = Math.max(smallest, stepOf((high - low) / TICKS, field.config.unit));
  const ticks = [];
  for (let tick = Math.floor(low / step); tick <= Math.ceil(high / step - 1e-9); tick += 1) {
    const value = Number((tick * step).toPrecision(12)); // 0.6, not 0.6000000000000001
    ticks.push({ value, text: data.formattedValueToString(field.display(value)) });
  }
  return ticks;
}

module.exports = { axisOf, fieldOf, singleValues };
