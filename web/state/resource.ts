import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/**
 * What the API says, asked again and again: every second while something runs, every 15 s at rest, never while
 * nobody looks. The same on a laptop and behind a gateway that ends streams. An unchanged answer is a 304.
 */
export class Resource<T> {
  readonly data = signal<T | null>(null);
  readonly error = signal<string | null>(null);
  /** Nobody answered, or somebody who cannot: not the same as a refusal. */
  readonly silent = signal(false);
  /** When it last answered, changed or not; ms since 1970. */
  readonly readAt = signal(0);
  /** The server's own time of that answer, for ages that do not hang on the visitor's clock. */
  readonly saidAt = signal(0);
  #users = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tag: { url: string; value: string } | null = null;
  #asking: Promise<void> | null = null;
  #began = Date.now();

  constructor(
    private readonly url: (held: T | null) => string,
    private readonly merge: (held: T | null, answer: T) => T = (_, answer) => answer,
    private readonly headers: () => Record<string, string> = () => ({}),
    /** False: what is answered once stays so. */
    private readonly changes = true,
  ) {}

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** How long ago its data was the API's word, if that is longer than it should be; ms, null where it is fresh. */
  overdue(at: number): number | null {
    const read = this.readAt.peek();
    const settled = !this.changes && read > 0;
    if (!this.isUsed || settled) return null;
    const since = at - (read || this.#began);
    return this.silent.peek() || since > staleAfter + (busy.peek() ? 0 : paceAtRest) ? since : null;
  }

  /** Keeps it fresh until the returned function is called. */
  use(): () => void {
    this.#users += 1;
    if (this.#users > 1) return () => this.#leave();
    this.#began = Date.now();
    if (this.changes || this.readAt.peek() === 0) void this.refresh();
    return () => this.#leave();
  }

  refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      const more = this.changes || this.readAt.peek() === 0;
      if (this.#users > 0 && more) this.#timer = setTimeout(() => void this.#again(), pace());
    });
    return this.#asking;
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#users === 0) clearTimeout(this.#timer);
  }

  #hear(answered: boolean): void {
    if (this.silent.peek() !== answered) return;
    this.silent.value = !answered;
    silences.value += 1;
  }

  async #again(): Promise<void> {
    if (document.visibilityState === 'visible') return this.refresh();
    this.#timer = setTimeout(() => void this.#again(), pace());
  }

  async #ask(): Promise<void> {
    const url = this.url(this.data.peek());
    try {
      const known = this.#tag?.url === url ? { 'if-none-match': this.#tag.value } : {};
      const response = await fetch(url, {
        cache: 'no-store',
        signal: AbortSignal.timeout(10_000),
        headers: { ...known, ...this.headers() },
      });
      if (response.status !== 304) {
        if (!response.ok) {
          this.#hear(response.status < 500);
          this.error.value = await problemOf(response);
          return;
        }
        const answer = (await response.json()) as T;
        const tag = response.headers.get('etag');
        this.#tag = tag === null ? null : { url, value: tag };
        this.data.value = this.merge(this.data.peek(), answer);
      }
      this.readAt.value = Date.now();
      this.saidAt.value = Date.parse(response.headers.get('date') ?? '') || this.readAt.value;
      this.error.value = null;
      this.#hear(true);
    } catch (error) {
      this.#hear(false);
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }
}

/** Rises whenever somebody falls silent or speaks again, so that the page says so at once. */
const silences = signal(0);

/** Something runs: whoever reads jobs says so. */
export const busy = signal(false);
const paceAtRest = 15_000;
const pace = (): number => (busy.peek() || anySilent() ? 1_000 : paceAtRest);
/** Beyond this age what is shown is called stale. */
export const staleAfter = 5_000;

/** The time, once a second while the page is visible, for ages on screen. */
export const now = signal(Date.now());

let live: () => Iterable<Resource<never>> = () => [];

/** The oldest word on screen that should be newer; ms, null where everything is fresh. */
export function staleness(at: number): { ms: number; silent: boolean; nothing: boolean } | null {
  let worst: { ms: number; silent: boolean; nothing: boolean } | null = null;
  void silences.value;
  for (const resource of live()) {
    const ms = resource.overdue(at);
    if (ms === null || (worst && worst.ms >= ms)) continue;
    worst = { ms, silent: resource.silent.peek(), nothing: resource.readAt.peek() === 0 };
  }
  return worst;
}

/** Whoever does not answer is asked again soon: that it is back is news. */
function anySilent(): boolean {
  for (const resource of live()) if (resource.isUsed && resource.silent.peek()) return true;
  return false;
}

export function startClock(resources: () => Iterable<Resource<never>>): void {
  live = resources;
  setInterval(() => {
    if (document.visibilityState === 'visible') now.value = Date.now();
  }, 1_000);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible') return;
    now.value = Date.now();
    refreshUsed();
  });
  busy.subscribe((runs) => {
    if (runs) refreshUsed();
  });
}

function refreshUsed(): void {
  for (const resource of live()) if (resource.isUsed) void resource.refresh();
}

/** In a component: keeps a resource fresh while the component is shown. */
export function useResource<T>(resource: Resource<T>): Resource<T> {
  useEffect(() => resource.use(), [resource]);
  return resource;
}

/** The same where there may be nothing to ask for. */
export function useMaybe<T>(resource: Resource<T> | null): Resource<T> | null {
  useEffect(() => resource?.use(), [resource]);
  return resource;
}

/** What the API says against a request. */
export async function problemOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  return problem.detail ?? `${response.status} ${response.statusText}`;
}
