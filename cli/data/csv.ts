/** Reads a table of numbers with one label column from CSV (RFC 4180). */
import { RoundtableError } from '#core/errors.js';
import type { Dataset } from '#local/consortium/dataset.js';

export interface CsvData extends Dataset {
  y: Int32Array;
  /** Columns of x, in their order. */
  features: string[];
  /** Class names in the order of their numbers: ascending as numbers where all are, as text otherwise. */
  labels: string[];
}

/**
 * @param label name of the column that holds the class
 * @throws INVALID_INPUT naming line and column of what is no number
 */
export function readCsv(text: string, label: string, what: string): CsvData {
  const [header, ...rows] = parseRows(text, what);
  if (!header)
    throw new RoundtableError('INVALID_INPUT', `${what} is empty; its first line must name the columns.`);
  const labelColumn = header.fields.indexOf(label);
  if (labelColumn < 0)
    throw new RoundtableError(
      'INVALID_INPUT',
      `${what} has no column ${JSON.stringify(label)}; it has ${header.fields.join(', ')}.`,
    );
  const features = header.fields.filter((_, column) => column !== labelColumn);
  if (features.length === 0 || rows.length === 0)
    throw new RoundtableError('INVALID_INPUT', `${what} has no data beside its labels.`);
  const labels = sortLabels(new Set(rows.map(({ fields }) => fields[labelColumn] ?? '')));
  const classes = new Map(labels.map((name, index) => [name, index]));
  const x = new Float32Array(rows.length * features.length);
  const y = new Int32Array(rows.length);
  rows.forEach(({ line, fields }, row) => {
    if (fields.length !== header.fields.length)
      throw new RoundtableError(
        'INVALID_INPUT',
        `${what}, line ${line}: ${fields.length} fields, and the header has ${header.fields.length}.`,
      );
    y[row] = classes.get(fields[labelColumn] ?? '') ?? 0;
    let column = 0;
    fields.forEach((field, at) => {
      if (at === labelColumn) return;
      x[row * features.length + column] = numberIn(
        field,
        `${what}, line ${line}, column ${header.fields[at] ?? at}`,
      );
      column += 1;
    });
  });
  return { shape: [features.length], classes: Math.max(2, labels.length), x, y, features, labels };
}

/**
 * Brings every column to mean 0 and standard deviation 1. A network learns little from columns of very different
 * sizes; the same numbers must be applied to whatever the model sees later.
 * @param by what to standardise by; computed from the data itself if not given
 */
export function standardise(
  data: CsvData,
  by?: { mean: number[]; deviation: number[] },
): { mean: number[]; deviation: number[] } {
  const columns = data.features.length;
  const rows = data.y.length;
  const column = (index: number) =>
    Array.from({ length: rows }, (_, row) => data.x[row * columns + index] ?? 0);
  const scale = by ?? {
    mean: data.features.map((_, index) => sum(column(index)) / rows),
    deviation: data.features.map((_, index) => {
      const values = column(index);
      const mean = sum(values) / rows;
      return Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / rows) || 1;
    }),
  };
  data.x.forEach((value, i) => {
    const index = i % columns;
    data.x[i] = (value - (scale.mean[index] ?? 0)) / (scale.deviation[index] ?? 1);
  });
  return scale;
}

interface Row {
  /** Line of the file at which it begins. */
  line: number;
  fields: string[];
}

function parseRows(text: string, what: string): Row[] {
  const rows: Row[] = [];
  let fields: string[] = [];
  let field = '';
  let line = 1;
  let begun = 1;
  let quoted = false;
  const endRow = () => {
    fields.push(field);
    if (fields.length > 1 || field.trim() !== '')
      rows.push({ line: begun, fields: fields.map((value) => value.trim()) });
    fields = [];
    field = '';
  };
  // A byte order mark, as spreadsheets write it, would become part of the first column's name.
  const source = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  for (let i = 0; i < source.length; i++) {
    const character = source[i] ?? '';
    if (quoted) {
      if (character === '"' && source[i + 1] === '"') {
        field += '"';
        i += 1;
      } else if (character === '"') quoted = false;
      else field += character;
    } else if (character === '"' && field.trim() === '') {
      quoted = true;
      field = '';
    } else if (character === ',') {
      fields.push(field);
      field = '';
    } else if (character === '\n') {
      endRow();
      begun = line + 1;
    } else field += character;
    if (character === '\n') line += 1;
  }
  if (quoted)
    throw new RoundtableError('INVALID_INPUT', `${what}, line ${begun}: a quoted field does not end.`);
  endRow();
  return rows;
}

function numberIn(field: string, where: string): number {
  const value = field === '' ? NaN : Number(field);
  if (!Number.isFinite(Math.fround(value)))
    throw new RoundtableError(
      'INVALID_INPUT',
      `${where}: expected a number, found ${JSON.stringify(field)}. Leave the row out, or fill it in.`,
    );
  return value;
}

function sortLabels(labels: ReadonlySet<string>): string[] {
  const numeric = [...labels].every((label) => label !== '' && Number.isFinite(Number(label)));
  return [...labels].sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : 1));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
