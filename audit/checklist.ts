import { isRoundtableError, type RoundtableError } from '#core/errors.js';

/** One thing that was looked at. */
export interface Check {
  /** What it is about: `job 0x3f2a91…`, `round 3`, `epoch 1`. */
  subject: string;
  check: string;
  /** From what and by which means. */
  how: string;
  /** Null: it could not be checked with what was at hand; `detail` says on whose word it stands. */
  ok: boolean | null;
  detail: string;
  ms: number;
}

/** What a check found wrong. */
export class Wrong extends Error {}

/** Ends an audit at the first wrong thing, which is the last entry of the list. */
export class AuditStopped extends Error {}

/** Notes checks as they are made. */
export class Checklist {
  readonly checks: Check[] = [];

  /** @param onCheck called for every check, for progress */
  constructor(private readonly onCheck: (check: Check) => void = () => undefined) {}

  /**
   * Makes one check. `work` throws Wrong, or an error that says the data are bad, when it fails; errors that only
   * say that something is out of reach are passed on.
   * @throws AuditStopped when it failed
   */
  async check<T>(
    subject: string,
    check: string,
    how: string,
    work: (say: (detail: string) => void) => Promise<T> | T,
  ): Promise<T> {
    const begun = performance.now();
    let detail = '';
    const note = (ok: boolean) =>
      this.#note({ subject, check, how, ok, detail, ms: performance.now() - begun });
    try {
      const result = await work((text) => void (detail = text));
      note(true);
      return result;
    } catch (error) {
      if (!(error instanceof Wrong) && !tellsOfBadData(error)) throw error;
      detail = error.message;
      note(false);
      throw new AuditStopped(detail);
    }
  }

  /** Notes what could not be checked. */
  unchecked(subject: string, check: string, how: string, detail: string): void {
    this.#note({ subject, check, how, ok: null, detail, ms: 0 });
  }

  #note(check: Check): void {
    this.checks.push(check);
    this.onCheck(check);
  }
}

/** @throws Wrong with both values */
export function same(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Wrong(`${what} is ${String(found)}, expected ${String(expected)}`);
}

const outOfReach = new Set([
  'INTERNAL',
  'UNAVAILABLE',
  'ARCHIVE_UNREACHABLE',
  'CHAIN_UNREACHABLE',
  'CHAIN_REFUSED',
  'CHAIN_WRONG_NETWORK',
]);

function tellsOfBadData(error: unknown): error is RoundtableError {
  return isRoundtableError(error) && !outOfReach.has(error.code);
}
