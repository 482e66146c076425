import { setTimeout as delay } from 'node:timers/promises';
import { isRoundtableError } from '#core/errors.js';
import type { Introduction, SeenRequest } from '#core/entryMessages.js';
import type { Enrolment } from './enrolment.js';
import { messageOf } from './failures.js';
import type { Log } from './log.js';
import type { StackClient } from './stackClient.js';

const LOOK_MS = 2_000;
/** However little happens, so that a stack that has forgotten the runner is noticed. */
const REPORT_MS = 60_000;
const LONGEST_PAUSE_MS = 5_000;
const FAREWELL_MS = 700;

/**
 * Enrols at the stack, again whenever its certificate is to be renewed, and reports what the runner does when that
 * changes, for ever: a stack that is not up yet, forgets the runner or goes away for a while is found again. That the
 * runner is there at all, the gatekeeper sees. What is wrong is logged once, not every time.
 */
export async function signsOfLife(
  stack: Pick<StackClient, 'seen'>,
  runner: {
    enrolment: Pick<Enrolment, 'enrol' | 'isDue'>;
    /** What to introduce oneself with now; when it changes, the runner enrols again. */
    introduction(): Promise<Introduction>;
    state(): SeenRequest;
    /** Member that should own this runner's key. */
    member: string;
    log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  const { log } = runner;
  let enrolled: string | null = null;
  let complaint: string | null = null;
  let failures = 0;
  let reported = { text: '', at: 0 };
  while (!signal.aborted) {
    try {
      const introduction = await runner.introduction();
      const text = JSON.stringify(introduction);
      if (text !== enrolled || runner.enrolment.isDue()) {
        const { member } = await runner.enrolment.enrol(introduction, signal);
        enrolled = text;
        // Enrolling says that the runner is idle.
        reported = { text: '', at: 0 };
        log.info({ member, data: introduction.data }, 'enrolled');
        if (member !== runner.member)
          log.error(
            { member, expected: runner.member },
            'on chain this key belongs to another member than runner.yaml says',
          );
      }
      const state = JSON.stringify(runner.state());
      if (state !== reported.text || Date.now() - reported.at > REPORT_MS) {
        await stack.seen(runner.state(), signal);
        reported = { text: state, at: Date.now() };
      }
      if (complaint !== null) log.info({}, 'the stack answers again');
      complaint = null;
      failures = 0;
    } catch (error) {
      if (signal.aborted) break;
      if (isRoundtableError(error, 'NOT_FOUND')) enrolled = null;
      const message = messageOf(error);
      if (message !== complaint) log.warn({ code: codeOf(error) }, `cannot report to the stack: ${message}`);
      complaint = message;
      failures++;
    }
    const pause = failures === 0 ? LOOK_MS : Math.min(LONGEST_PAUSE_MS, 125 * 2 ** Math.min(failures, 10));
    await delay(pause, undefined, { signal }).catch(() => undefined);
  }
}

/** Tells the stack that the runner goes, so that nobody waits for it; it goes in any case. */
export async function sayFarewell(stack: Pick<StackClient, 'seen'>, log: Log): Promise<void> {
  try {
    await stack.seen({ state: 'leaving', progress: null }, AbortSignal.timeout(FAREWELL_MS));
  } catch (error) {
    log.debug({ code: codeOf(error) }, 'could not say farewell to the stack');
  }
}

function codeOf(error: unknown): string | undefined {
  return isRoundtableError(error) ? error.code : undefined;
}
