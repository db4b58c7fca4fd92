// Grafana's own front-end code, made to load where there is no browser, with the registries that its app would fill.
'use strict';

const Module = require('node:module');
const path = require('node:path');

// @grafana/data requires these, and they are ES modules: Node learned to require those in 20.19 only.
const ES_MODULES = ['marked', 'marked-mangle', '@react-hookz/web'];

// What the option editors of Grafana's app register (getAllStandardFieldConfigs in @grafana/ui), without the editors.
function standardProperties(data) {
  const always = () => true;
  const numeric = (field) => field.type === data.FieldType.number;
  const property = (id, process, { shouldApply = always, settings = {} } = {}) => ({
    id, path: id, name: id, description: '', process, shouldApply, settings,
  });
  return [
    property('displayName', data.displayNameOverrideProcessor, { settings: { expandTemplateVars: true } }),
    property('unit', data.unitOverrideProcessor),
    property('min', data.numberOverrideProcessor, { shouldApply: numeric }),
    property('max', data.numberOverrideProcessor, { shouldApply: numeric }),
    property('fieldMinMax', data.booleanOverrideProcessor, { shouldApply: numeric }),
    property('decimals', data.numberOverrideProcessor, { shouldApply: numeric }),
    property('thresholds', data.thresholdsOverrideProcessor),
    property('mappings', data.valueMappingsOverrideProcessor),
    property('noValue', data.stringOverrideProcessor, { settings: { expandTemplateVars: true } }),
    property('links', data.dataLinksOverrideProcessor),
    property('actions', data.dataLinksOverrideProcessor),
    property('color', data.identityOverrideProcessor),
    property('filterable', data.booleanOverrideProcessor),
    property('description', data.stringOverrideProcessor),
  ];
}

function customProperty(data, id, path) {
  return {
    id, path, name: id, description: '', isCustom: true,
    process: data.identityOverrideProcessor, shouldApply: () => true, settings: {},
  };
}

// Each panel type registers its own custom options; here all that the panel itself names are known.
function fieldConfigRegistry(data, fieldConfig) {
  const custom = new Map();
  for (const name of Object.keys(fieldConfig.defaults.custom ?? {})) {
    custom.set(`custom.${name}`, name);
  }
  for (const override of fieldConfig.overrides) {
    for (const { id } of override.properties) {
      if (id.startsWith('custom.')) {
        custom.set(id, id.slice('custom.'.length));
      }
    }
  }
  return new data.Registry(() => [
    ...standardProperties(data),
    ...[...custom].map(([id, path]) => customProperty(data, id, path)),
  ]);
}

// What a panel of the type begins with when its JSON leaves it out, as the type's own module registers it.
const PALETTE = new Set(['timeseries', 'barchart', 'piechart', 'heatmap', 'trend', 'xychart', 'histogram']);

function withDefaults(panel) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const gradual = panel.type === 'state-timeline';
  const mode = gradual ? 'continuous-GrYlRd' : PALETTE.has(panel.type) ? 'palette-classic' : 'thresholds';
  const thresholds = {
    mode: 'absolute', steps: [{ color: 'green', value: null }, { color: 'red', value: 80 }],
  };
  return { ...panel, fieldConfig: { defaults: { color: { mode }, thresholds, ...defaults }, overrides } };
}

async function load() {
  const given = {};
  for (const name of ES_MODULES) {
    given[name] = await import(name);
  }
  const loadModule = Module._load;
  Module._load = (name, ...rest) => given[name] ?? loadModule(name, ...rest);
  const navigator = { userAgent: 'node', language: 'en-US', languages: ['en-US'] };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  const data = require('@grafana/data');
  Module._load = loadModule;
  const { getValueMappingResult } = require(path.join(require.resolve('@grafana/data'), '../utils/valueMappings.cjs'));

  globalThis.window = { location: new URL('http://localhost/') };
  data.locationUtil.initialize({
    config: { appSubUrl: '' },
    getTimeRangeForUrl: () => ({ from: 'now-1h', to: 'now' }),
    getVariablesUrlParams: () => ({}),
  });
  // Two transformers bear the id joinByField (the older name is an alias), and a registry refuses that.
  const transformers = new Map(Object.values(data.standardTransformers).map((one) => [one.id, one]));
  data.standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((transformation) => ({
      id: transformation.id, name: transformation.name, transformation: () => Promise.resolve(transformation),
    }))
  );
  return { data: { ...data, getValueMappingResult }, theme: data.createTheme({ colors: { mode: 'dark' } }) };
}

module.exports = { fieldConfigRegistry, load, standardProperties, withDefaults };
