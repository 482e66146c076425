import { isRoundtableError, type RoundtableError } from '#core/errors.js';
import type { Hex } from '#core/hex.js';

/** Where something is; what is not known, or does not apply, is not there. */
export interface Place {
  job?: Hex;
  /** 0 is the version that a job starts from. */
  round?: number;
  epoch?: number;
  /** Also the account of a reward. */
  runner?: Hex;
  tensor?: string;
  /** Within the tensor, row-major. */
  index?: number;
  /** The same within the whole vector of parameters. */
  parameter?: number;
}

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
  place: Place;
  ms: number;
}

/** What a check found wrong, and where. */
export class Wrong extends Error {
  constructor(
    message: string,
    readonly place: Place = {},
  ) {
    super(message);
  }
}

/** Ends an audit at the first wrong thing, which is the last entry of the list. */
export class AuditStopped extends Error {}

/** Notes checks as they are made. */
export class Checklist {
  /** @param onCheck called for every check, for progress. @param place where everything is that is noted here */
  constructor(
    private readonly onCheck: (check: Check) => void = () => undefined,
    readonly checks: Check[] = [],
    private readonly place: Place = {},
  ) {}

  /** The same list, for what is at one place. */
  at(place: Place): Checklist {
    return new Checklist(this.onCheck, this.checks, { ...this.place, ...place });
  }

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
    const note = (ok: boolean, place: Place = {}) =>
      this.#note({ subject, check, how, ok, detail, place, ms: performance.now() - begun });
    try {
      const result = await work((text) => void (detail = text));
      note(true);
      return result;
    } catch (error) {
      if (!(error instanceof Wrong) && !tellsOfBadData(error)) throw error;
      detail = error.message;
      note(false, error instanceof Wrong ? error.place : {});
      throw new AuditStopped(detail);
    }
  }

  /** Notes what could not be checked. */
  unchecked(subject: string, check: string, how: string, detail: string): void {
    this.#note({ subject, check, how, ok: null, detail, place: {}, ms: 0 });
  }

  #note(check: Check): void {
    const noted = { ...check, place: { ...this.place, ...check.place } };
    this.checks.push(noted);
    this.onCheck(noted);
  }
}

/** @throws Wrong with both values */
export function same(what: string, found: unknown, expected: unknown, place?: Place): void {
  if (found !== expected) throw new Wrong(`${what} is ${String(found)}, expected ${String(expected)}`, place);
}

/** What says nothing of the data: a part did not answer, or the question was not clear. */
const outOfReach = new Set([
  'CONFLICT',
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
