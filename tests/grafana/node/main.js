// Standard input: a JSON list of panels with what Prometheus answered; standard output: what Grafana makes of each.
// See tests/support/grafana_data.py for both shapes.
'use strict';

const { firstValueFrom } = require('rxjs');

const checks = require('./checks.js');
const { framesOf } = require('./frames.js');
const { fieldConfigRegistry, load, withDefaults } = require('./grafana.js');
const { axisOf, fieldOf, singleValues } = require('./shown.js');
const { replacer } = require('./variables.js');

const STATES = new Set(['state-timeline', 'status-history']);

async function transform({ data }, panel, frames, replaceVariables, problem) {
  let now = frames;
  for (const transformation of (panel.transformations ?? []).filter((one) => !one.disabled)) {
    checks.checkTransformation(data, transformation, now, problem);
    const context = { interpolate: (text) => replaceVariables(text) };
    now = await firstValueFrom(data.transformDataFrame([transformation], now, context));
  }
  return now;
}

async function run(grafana, given) {
  const { data, theme } = grafana;
  const { results, range, timezone } = given;
  const panel = withDefaults(given.panel);
  const problems = new Map();
  const problem = (kind, text) => problems.set(`${kind}: ${text}`, { kind, text });

  for (const { refId, response } of results.filter((one) => one.response.status !== 'success')) {
    problem('answer', `${refId}: ${response.errorType}: ${response.error}`);
  }
  checks.checkUnits(data, panel.fieldConfig, problem);
  checks.checkColors(data, panel.fieldConfig, problem);
  checks.checkReducers(data, panel, problem);

  const replaceVariables = replacer(data, given, problem);
  const source = framesOf(data, results, range.interval);
  const transformed = await transform(grafana, panel, source, replaceVariables, problem);
  const full = transformed.filter((frame) => frame.fields.some((field) => field.values.length > 0));
  if (full.length === 0 && panel.targets?.length) {
    problem('no data', 'No data');
  } else {
    checks.checkOverrides(data, panel.fieldConfig, full, problem);
  }
  const frames = data.applyFieldOverrides({
    data: full, fieldConfig: panel.fieldConfig, replaceVariables, theme, timeZone: timezone,
    fieldConfigRegistry: fieldConfigRegistry(data, panel.fieldConfig),
  });
  if (STATES.has(panel.type)) {
    checks.checkMappings(data, frames, problem);
  }
  if (panel.type === 'nodeGraph' && full.length > 0) {
    checks.checkNodeGraph(panel, frames, problem);
  }
  const values = panel.targets?.length ? singleValues(grafana, panel, frames, replaceVariables, timezone) : [];
  return {
    title: replaceVariables(panel.title ?? '', {}),
    frames: frames.map((frame) => ({
      ref_id: frame.refId ?? '',
      name: frame.name ?? '',
      fields: frame.fields.map((field) => fieldOf(grafana, panel, field, frame, frames)),
    })),
    values,
    axis: axisOf(grafana, panel, frames),
    palette: Object.fromEntries((given.colors ?? []).map((name) => [name, theme.visualization.getColorByName(name)])),
    problems: [...problems.values()],
  };
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
  }
  const grafana = await load();
  const answers = [];
  for (const given of JSON.parse(Buffer.concat(chunks).toString('utf8'))) {
    answers.push(await run(grafana, given));
  }
  process.stdout.write(JSON.stringify(answers));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
