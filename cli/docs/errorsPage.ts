import { errorCodes, type ErrorCode } from '#core/errorCodes.js';

/**
 * docs/errors.md: every error code with its HTTP status and meaning, under the headings of the table.
 * @param source text of core/errorCodes.ts, whose comments are the headings
 */
export function errorsPage(source: string): string {
  const lines = [
    '# Error codes',
    '',
    'Printed from `core/errorCodes.ts` by `node scripts/make-docs.mjs`. Codes are stable: the command line prints them,',
    'problem details of the API carry them as `code`, logs name them. The message beside a code says what was wrong,',
    'what was expected and what to do.',
  ];
  for (const [, heading, code] of source.matchAll(/^ {2}(?:\/\/ (.+)|([A-Z0-9_]+): \{)/gm)) {
    if (heading !== undefined)
      lines.push('', `## ${heading}`, '', '| code | HTTP | meaning |', '| --- | --- | --- |');
    else if (code !== undefined && isCode(code)) {
      const { status, meaning } = errorCodes[code];
      lines.push(`| \`${code}\` | ${status} | ${meaning.replaceAll('|', '\\|')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function isCode(code: string): code is ErrorCode {
  return code in errorCodes;
}
