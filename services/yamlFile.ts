import { isAlias, isMap, isScalar, LineCounter, parseDocument, visit, type Document } from 'yaml';
import { RoundtableError } from '#core/errors.js';

/** What is wrong with a file, and in which line. */
export interface YamlMistake {
  line: number;
  message: string;
}

/**
 * A YAML file that a person wrote. Files travel: a job's file comes with somebody's model, so aliases, which a
 * hundred bytes make into gigabytes, tags and depths that no file of ours has are refused.
 * @returns the document, with mistakes in place of a value where it has some
 */
export function readYaml(text: string): { document: Document; lines: LineCounter; mistakes: YamlMistake[] } {
  const lines = new LineCounter();
  const tooMuch = whyNot(text);
  if (tooMuch !== null)
    return { document: parseDocument(''), lines, mistakes: [{ line: 1, message: tooMuch }] };
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const mistakes = document.errors.map(({ message, pos }) => ({
    line: lines.linePos(pos[0]).line,
    message: message.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? message,
  }));
  visit(document, {
    Node(_, node) {
      const what = isAlias(node) ? 'an alias (*)' : node.anchor === undefined ? null : 'an anchor (&)';
      if (what === null) return undefined;
      const line = lines.linePos(node.range?.[0] ?? 0).line;
      mistakes.push({ line, message: `${what} has no use here; write the value out` });
      return visit.BREAK;
    },
    Pair(_, { key }) {
      if (!isMap(key) && isScalar(key) && key.value === '__proto__')
        mistakes.push({ line: 1, message: '__proto__ cannot be a key' });
    },
  });
  return { document, lines, mistakes };
}

/** @throws INVALID_INPUT with every mistake of form and its line */
export function parseYaml(text: string, what: string): unknown {
  const { document, mistakes } = readYaml(text);
  if (mistakes.length === 0) return document.toJS();
  const lines = mistakes.map(({ line, message }) => `  line ${line}: ${message}`).join('\n');
  throw new RoundtableError('INVALID_INPUT', `${what} is not YAML of the expected form:\n${lines}`);
}

const MOST_CHARACTERS = 256 * 1024;
const MOST_DEPTH = 64;

/** The parser calls itself for every level, so what is too deep must not reach it. */
function whyNot(text: string): string | null {
  if (text.length > MOST_CHARACTERS) return `it has more than ${MOST_CHARACTERS} characters`;
  let open = 0;
  for (const letter of text) {
    if (letter === '[' || letter === '{') open++;
    else if (letter === ']' || letter === '}') open = Math.max(0, open - 1);
    if (open > MOST_DEPTH) return `it is nested more than ${MOST_DEPTH} levels deep`;
  }
  // In block style a level needs an indicator or an indent of its own.
  const deepest = text.split('\n').reduce((most, line) => Math.max(most, levelsOf(line)), 0);
  return deepest > 2 * MOST_DEPTH ? `it is nested more than ${MOST_DEPTH} levels deep` : null;
}

function levelsOf(line: string): number {
  let at = 0;
  while (at < line.length && ' \t-?:'.includes(line[at] ?? '')) at++;
  return at;
}
