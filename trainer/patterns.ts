/**
 * Whether a name is one of `patterns`: names in which `*` stands for any characters, such as `head.*` or `*.bias`.
 * Exporters write dots and slashes; both are ordinary characters here.
 */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  return (name) => patterns.some((pattern) => matches(pattern, name));
}

/** Greedy and without backtracking: each piece is looked for behind the one before it. */
function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const piece of rest) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= name.length - last.length;
}
