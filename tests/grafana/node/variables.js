// `$name`, `${name.path:format}` and `[[name]]` in titles, links and options, as Grafana's app replaces them.
'use strict';

const REFERENCE = /\$(\w+)|\[\[(\w+)(?:\.([^:^\]]+))?(?::(\w+))?\]\]|\$\{(\w+)((?:\.[^:^}]+|\[[^\]]+\])*)(?::([^}]+))?\}/g;
const KEPT_AS_IS = new Set(['__url_time_range', '__all_variables']);

// `.name`, `["a name"]` and `[0]`, one after the other.
function steps(path) {
  return [...path.matchAll(/\[["']?([^\]"']+)["']?\]|\.?([^.[\]]+)/g)].map(([, bracket, plain]) => bracket ?? plain);
}

function walk(start, path) {
  return steps(path).reduce((value, step) => value?.[step], start);
}

function rowIndex(context) {
  return context.rowIndex ?? 0;
}

function ofRow(data, context, path) {
  const [first, second, third] = steps(path);
  if (first !== 'fields') {
    return undefined;
  }
  const names = (field) => [field.name, data.getFieldDisplayName(field, context.frame), field.config.displayName];
  const field = context.frame.fields.find((one) => names(one).includes(second)) ?? context.frame.fields[second];
  if (!field) {
    return undefined;
  }
  const value = field.values[rowIndex(context)];
  return third === 'text' || third === undefined ? shownText(data, field, value) : value;
}

function shownText(data, field, value) {
  return field.type === 'number' && field.display ? data.formattedValueToString(field.display(value)) : String(value);
}

function ofValue(data, context, path) {
  const value = context.calculatedValue?.numeric ?? context.field.values[rowIndex(context)];
  switch (path) {
    case '': case '.raw': return value;
    case '.numeric': return Number(value);
    case '.text': return context.calculatedValue
      ? data.formattedValueToString(context.calculatedValue) : shownText(data, context.field, value);
    case '.time': return context.frame.fields.find((one) => one.type === 'time')?.values[rowIndex(context)];
    default: return undefined;
  }
}

function ofField(data, context, path) {
  const { field, frame, data: frames } = context;
  const known = {
    name: field.name,
    displayName: data.getFieldDisplayName(field, frame, frames),
    labels: field.labels ?? {},
  };
  return path === '' ? known.displayName : walk(known, path);
}

function replacer(data, { variables, range }, problem) {
  const builtIn = {
    __from: range.from,
    __to: range.to,
    __url_time_range: `from=${range.from}&to=${range.to}`,
    __all_variables: Object.entries(variables)
      .flatMap(([name, value]) => [value].flat().map((one) => `var-${name}=${encodeURIComponent(one)}`)).join('&'),
    __interval: `${Math.round(range.interval / 1000)}s`,
  };

  function find(name, path, scoped) {
    const context = scoped?.__dataContext?.value;
    if (context) {
      const macro = { __data: ofRow, __value: ofValue, __field: ofField }[name];
      if (macro) {
        return macro(data, context, path);
      }
      if (name === '__series') {
        return data.getFrameDisplayName(context.frame);
      }
    }
    if (scoped && name in scoped) {
      return walk(scoped[name].value, path);
    }
    return path === '' ? variables[name] ?? builtIn[name] : undefined;
  }

  function text(value, name, format) {
    if (KEPT_AS_IS.has(name)) {
      return value;
    }
    if (format === 'queryparam') {
      return [value].flat().map((one) => `var-${name}=${encodeURIComponent(one)}`).join('&');
    }
    const plain = Array.isArray(value) ? `{${value.join(',')}}` : String(value);
    const encoded = format === 'percentencode' || format === 'uriencode';
    return encoded ? encodeURIComponent(plain) : plain;
  }

  return (target, scoped, format) =>
    target?.replace(REFERENCE, (whole, plain, old, oldPath, oldFormat, name, path, own) => {
      const found = plain ?? old ?? name;
      const value = find(found, path ?? (oldPath ? `.${oldPath}` : ''), scoped);
      if (value === undefined || value === null) {
        // A display name is given to the field of times too, which has no labels; nobody sees it there.
        if (scoped?.__dataContext?.value.field?.type === 'time') {
          return whole;
        }
        problem('variable', `${whole} stands for nothing in ${JSON.stringify(target)}`);
        return whole;
      }
      return text(value, found, own ?? oldFormat ?? (typeof format === 'string' ? format : undefined));
    });
}

module.exports = { replacer };
