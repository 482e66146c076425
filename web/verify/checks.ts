/** One thing that was looked at, as the page shows it. */
export interface Check {
  group: string;
  name: string;
  /** From where the expected value is, and how the other was got. */
  how: string;
  expected: string;
  got: string;
  /** Null: it could not be checked here; `got` says why. */
  ok: boolean | null;
  ms: number;
}

/** Gathers checks and tells of each at once. A wrong one does not end the others: what else is wrong matters too. */
export class Checks {
  readonly all: Check[] = [];
  #since = performance.now();

  constructor(private readonly tell: (check: Check) => void = () => undefined) {}

  same(group: string, name: string, how: string, expected: unknown, got: unknown): boolean {
    const ok = text(expected) === text(got);
    this.#note({ group, name, how, expected: text(expected), got: text(got), ok });
    return ok;
  }

  unchecked(group: string, name: string, how: string, why: string): void {
    this.#note({ group, name, how, expected: '', got: why, ok: null });
  }

  wrong(group: string, name: string, how: string, expected: string, got: string): void {
    this.#note({ group, name, how, expected, got, ok: false });
  }

  #note(check: Omit<Check, 'ms'>): void {
    const now = performance.now();
    const noted = { ...check, ms: now - this.#since };
    this.#since = now;
    this.all.push(noted);
    this.tell(noted);
  }
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}
