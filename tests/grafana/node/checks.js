// What Grafana would pass over in silence: names that it does not know, and names that nothing bears.
'use strict';

const { standardProperties } = require('./grafana.js');

const MADE_UNIT = /^(prefix|suffix|time|si|count|currency|bool):./;
const ENOUGH = 1e-6;

function checkUnits(data, { defaults, overrides }, problem) {
  const known = new Set(data.getValueFormats().flatMap((category) => category.submenu.map((unit) => unit.value)));
  const asked = [defaults.unit];
  for (const { properties } of overrides) {
    asked.push(...properties.filter(({ id }) => id === 'unit').map(({ value }) => value));
  }
  for (const unit of asked) {
    if (unit && !known.has(unit) && !MADE_UNIT.test(unit)) {
      problem('unit', `Grafana knows no unit ${JSON.stringify(unit)}`);
    }
  }
}

function checkColors(data, { defaults, overrides }, problem) {
  const asked = [defaults.color];
  for (const { properties } of overrides) {
    asked.push(...properties.filter(({ id }) => id === 'color').map(({ value }) => value));
  }
  for (const color of asked) {
    if (color?.mode && !data.fieldColorModeRegistry.getIfExists(color.mode)) {
      problem('color', `Grafana knows no colour mode ${JSON.stringify(color.mode)}`);
    }
  }
}

function checkOverrides(data, { overrides }, frames, problem) {
  const known = new Set(standardProperties(data).map(({ id }) => id));
  for (const { matcher, properties } of overrides) {
    const said = `${matcher.id} ${JSON.stringify(matcher.options)}`;
    for (const { id } of properties) {
      if (!known.has(id) && !id.startsWith('custom.')) {
        problem('property', `the override ${said} sets ${id}, which is no property of a field`);
      }
    }
    const info = data.fieldMatchers.getIfExists(matcher.id);
    if (!info) {
      problem('matcher', `Grafana knows no matcher ${JSON.stringify(matcher.id)}`);
      continue;
    }
    const matches = info.get(matcher.options);
    if (!frames.some((frame) => frame.fields.some((field) => matches(field, frame, frames)))) {
      problem('unmatched', `the override ${said} matches no field`);
    }
  }
}

function checkReducers(data, panel, problem) {
  const { options = {}, transformations = [] } = panel;
  const asked = [
    ...(options.reduceOptions?.calcs ?? []),
    ...(options.legend?.calcs ?? []),
    ...[options.footer?.reducer ?? []].flat(),
  ];
  for (const { id, options: given = {} } of transformations) {
    asked.push(...(given.reducers ?? []), ...[given.reduce?.reducer ?? []].flat());
    if (id === 'groupBy') {
      asked.push(...Object.values(given.fields ?? {}).flatMap((field) => field.aggregations ?? []));
    }
  }
  for (const id of asked) {
    if (!data.fieldReducers.getIfExists(id)) {
      problem('reducer', `Grafana knows no calculation ${JSON.stringify(id)}`);
    }
  }
}

function fieldNames(data, frames) {
  return new Set(
    frames.flatMap((frame) => frame.fields.flatMap((f) => [f.name, data.getFieldDisplayName(f, frame, frames)]))
  );
}

// What a transformation reads by name; leaving out a field that is not there is no fault.
function namesRead({ id, options = {} }) {
  switch (id) {
    case 'organize': return Object.keys(options.renameByName ?? {});
    case 'joinByField': return [options.byField].filter(Boolean);
    case 'sortBy': return (options.sort ?? []).map((sort) => sort.field).filter(Boolean);
    case 'groupBy': return Object.keys(options.fields ?? {});
    case 'calculateField': return [
      ...(options.reduce?.include ?? []),
      ...[options.binary?.left, options.binary?.right]
        .map((side) => (typeof side === 'object' ? side?.matcher?.id === 'byName' && side.matcher.options : side))
        .filter((side) => side && Number.isNaN(Number(side))),
    ];
    default: return [];
  }
}

function checkTransformation(data, transformation, before, problem) {
  if (!data.standardTransformersRegistry.getIfExists(transformation.id)) {
    problem('transformation', `@grafana/data knows no transformation ${JSON.stringify(transformation.id)}`);
    return;
  }
  if (!before.some((frame) => frame.fields.some((field) => field.values.length > 0))) {
    return; // where nothing came, no name is missed
  }
  const known = fieldNames(data, before);
  for (const name of namesRead(transformation)) {
    if (!known.has(name)) {
      problem('field', `the transformation ${transformation.id} reads ${JSON.stringify(name)}, which no field is named`);
    }
  }
}

function checkMappings(data, frames, problem) {
  for (const frame of frames) {
    for (const field of frame.fields.filter((one) => one.type !== 'time')) {
      const mappings = field.config.mappings ?? [];
      if (mappings.length === 0 && field.config.unit) {
        continue;
      }
      for (const value of new Set(field.values.filter((one) => one !== null && one !== undefined))) {
        if (!data.getValueMappingResult(mappings, value)) {
          problem('mapping', `${data.getFieldDisplayName(field, frame, frames)}: no value mapping for ${value}`);
        }
      }
    }
  }
}

// Names as the node graph reads them: in any case, of any frame.
function column(frame, name) {
  return frame.fields.find((field) => field.name.toLowerCase() === name);
}

function checkNodeGraph(panel, frames, problem) {
  const edges = frames.filter((frame) => frame.refId === 'edges' || column(frame, 'source'));
  const nodes = frames.filter((frame) => !edges.includes(frame));
  for (const [kind, group, needed] of [['nodes', nodes, ['id']], ['edges', edges, ['id', 'source', 'target']]]) {
    if (group.length !== 1) {
      problem('node graph', `${group.length} frames of ${kind}, not one`);
    }
    for (const frame of group) {
      for (const name of needed) {
        const field = column(frame, name);
        if (!field) {
          problem('node graph', `${kind} have no field ${name}`);
        } else if (name === 'id' && new Set(field.values).size !== field.values.length) {
          problem('node graph', `ids of ${kind} are not unique`);
        }
      }
    }
  }
  const known = new Set(nodes.flatMap((frame) => column(frame, 'id')?.values ?? []));
  for (const end of ['source', 'target']) {
    for (const name of new Set(edges.flatMap((frame) => column(frame, end)?.values ?? []))) {
      if (!known.has(name)) {
        problem('node graph', `an edge's ${end} ${JSON.stringify(name)} is no node: the panel fails`);
      }
    }
  }
  nodes.forEach((frame) => checkArcs(frame, problem));
  for (const { field } of panel.options?.nodes?.arcs ?? []) {
    if (!nodes.some((frame) => frame.fields.some(({ name }) => name === field))) {
      problem('node graph', `the panel colours ${field}, which nodes do not have`);
    }
  }
}

function checkArcs(frame, problem) {
  const arcs = frame.fields.filter((field) => field.name.toLowerCase().startsWith('arc__'));
  const words = arcs.filter((field) => field.type !== 'number');
  for (const field of words) {
    problem('node graph', `${field.name} is of type ${field.type}, not number`);
  }
  if (arcs.length > 0 && words.length === 0) {
    for (let row = 0; row < frame.length; row += 1) {
      const sum = arcs.reduce((total, field) => total + field.values[row], 0);
      if (!(Math.abs(sum - 1) < ENOUGH)) {
        problem('node graph', `the arcs of ${JSON.stringify(column(frame, 'id')?.values[row])} sum to ${sum}, not 1`);
      }
    }
  }
}

module.exports = {
  checkColors, checkMappings, checkNodeGraph, checkOverrides, checkReducers, checkTransformation, checkUnits,
};
