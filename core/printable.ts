/**
 * Text of others, fit to be shown: in a terminal, a control character could move the cursor, hide lines, or set the
 * title and the clipboard; a bidirectional override shows another order than there is (Trojan Source, 2021).
 * Line feeds stay; `oneLine` is for what must not look like another line of ours.
 */
export function printable(text: string, most = 10_000): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(NOT_SHOWN, ' ');
}

/** @example oneLine('offline\n  paid 100 tokens') // 'offline   paid 100 tokens' */
export function oneLine(text: string, most = 1_000): string {
  return printable(text, most).replaceAll('\n', ' ');
}

/** Control characters but the line feed, bidirectional controls, and Unicode's own line separators. */
const NOT_SHOWN = /(?!\n)[\p{Cc}\p{Bidi_C}\u2028\u2029]/gu;
