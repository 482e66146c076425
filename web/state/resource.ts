import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/**
 * What the API says, asked again and again: every second while something runs, every 15 s at rest, never while
 * nobody looks. The same on a laptop and behind a gateway that ends streams. An unchanged answer is a 304.
 */
export class Resource<T> {
  readonly data = signal<T | null>(null);
  readonly error = signal<string | null>(null);
  /** When it last answered, changed or not; ms since 1970. */
  readonly readAt = signal(0);
  /** The server's own time of that answer, for ages that do not hang on the visitor's clock. */
  readonly saidAt = signal(0);
  #users = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tag: { url: string; value: string } | null = null;
  #asking: Promise<void> | null = null;

  constructor(
    private readonly url: (held: T | null) => string,
    private readonly merge: (held: T | null, answer: T) => T = (_, answer) => answer,
    private readonly headers: () => Record<string, string> = () => ({}),
  ) {}

  /** Keeps it fresh until the returned function is called. */
  use(): () => void {
    this.#users += 1;
    if (this.#users === 1) void this.refresh();
    return () => {
      this.#users -= 1;
      if (this.#users === 0) clearTimeout(this.#timer);
    };
  }

  refresh(): Promise<void> {
    clearTimeout(this.#timer);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
      if (this.#users > 0) this.#timer = setTimeout(() => void this.#again(), pace());
    });
    return this.#asking;
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
        if (!response.ok) throw new Error(await problemOf(response));
        const answer = (await response.json()) as T;
        const tag = response.headers.get('etag');
        this.#tag = tag === null ? null : { url, value: tag };
        this.data.value = this.merge(this.data.peek(), answer);
      }
      this.readAt.value = Date.now();
      this.saidAt.value = Date.parse(response.headers.get('date') ?? '') || this.readAt.value;
      this.error.value = null;
    } catch (error) {
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }
}

/** Something runs: whoever reads jobs says so. */
export const busy = signal(false);
const pace = (): number => (busy.peek() ? 1_000 : 15_000);

/** The time, once a second while the page is visible, for ages on screen. */
export const now = signal(Date.now());

export function startClock(live: () => Iterable<Resource<never>>): void {
  setInterval(() => {
    if (document.visibilityState === 'visible') now.value = Date.now();
  }, 1_000);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') for (const resource of live()) void resource.refresh();
  });
  busy.subscribe((runs) => {
    if (runs) for (const resource of live()) void resource.refresh();
  });
}

/** In a component: keeps a resource fresh while the component is shown. */
export function useResource<T>(resource: Resource<T>): Resource<T> {
  useEffect(() => resource.use(), [resource]);
  return resource;
}

/** What the API says against a request. */
export async function problemOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => ({}))) as { detail?: string };
  return problem.detail ?? `${response.status} ${response.statusText}`;
}
