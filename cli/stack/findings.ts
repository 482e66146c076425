import type { Context } from '../command.js';
import { wrap } from '../terminal/text.js';
import { glyphs, paint } from '../terminal/theme.js';

export interface Finding {
  subject: string;
  state: 'ok' | 'warn' | 'fail';
  /** What was found, and what to do unless it is ok. */
  detail: string;
}

export type Verdict = [state: Finding['state'], detail: string];
export type Check = [subject: string, check: () => Promise<Verdict> | Verdict];

/** All at once; a check that throws has failed, with the error's words. */
export function judge(checks: readonly Check[]): Promise<Finding[]> {
  return Promise.all(
    checks.map(async ([subject, check]) => {
      try {
        const [state, detail] = await check();
        return { subject, state, detail };
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        return { subject, state: 'fail' as const, detail };
      }
    }),
  );
}

export function findingLines(context: Context, { subject, state, detail }: Finding): string[] {
  const theme = context.terminal.theme();
  const { ok, warn, fail } = glyphs(theme);
  const mark =
    state === 'ok'
      ? paint(theme, 'green', ok)
      : state === 'warn'
        ? paint(theme, 'yellow', warn)
        : paint(theme, 'red', fail);
  const [first = '', ...more] = wrap(detail, Math.max(20, theme.columns - 20));
  return [
    `${mark} ${state.padEnd(4)} ${subject.padEnd(12)} ${first}`,
    ...more.map((line) => ' '.repeat(20) + line),
  ];
}
