/** Every field of an answer, one after the other, in which an API might lie. */

export interface FieldLie {
  /** @example 'archive.manifestHash', 'participants.0.samples' */
  path: string;
  /** The answer with this one field changed. */
  told: unknown;
}

/** Each leaf changed alone, and each list with its last entry taken away. */
export function lies(answer: object): FieldLie[] {
  return leaves(answer, []).map((path) => ({ path: path.join('.'), told: changed(answer, path) }));
}

function leaves(value: unknown, path: string[]): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, part]) => leaves(part, [...path, key]));
  return Array.isArray(value) && value.length > 0 ? [[...path, 'length'], ...inner] : inner;
}

function changed(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return other(value);
  if (Array.isArray(value) && key === 'length') return value.slice(0, -1);
  if (Array.isArray(value)) return value.map((part, i) => (String(i) === key ? changed(part, rest) : part));
  const record = value as Record<string, unknown>;
  return { ...record, [key]: changed(record[key], rest) };
}

/** Another value of the same type: the last digit of a number in text, one hexadecimal digit of a hash. */
function other(value: unknown): unknown {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (typeof value !== 'string') return 'something';
  return `${value.slice(0, -1)}${value.endsWith('0') ? '1' : '0'}`;
}
