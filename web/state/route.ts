import { signal } from '@preact/signals';

/** The view is in the fragment, so that every host of static files serves every view. */
export interface Route {
  /** `#/jobs/0x…/rounds/3` is ['jobs', '0x…', 'rounds', '3']. */
  path: string[];
}

export function parseRoute(hash: string): Route {
  const path = hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decode);
  return { path };
}

/** @example href('jobs', job, 'rounds', 3) // '#/jobs/0x…/rounds/3' */
export const href = (...path: (string | number)[]): string =>
  `#/${path.map((part) => encodeURIComponent(String(part))).join('/')}`;

export const route = signal<Route>({ path: [] });

export function followRoute(): void {
  addEventListener('hashchange', () => {
    read();
    // A new view begins where a reader of pages expects it to.
    document.getElementById('main')?.focus({ preventScroll: true });
  });
  read();
}

function read(): void {
  route.value = parseRoute(location.hash);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
