import { signal } from '@preact/signals';

/** The view is in the fragment, so that every host of static files serves every view. */
export interface Route {
  /** `#/jobs/0x…/rounds/3` is ['jobs', '0x…', 'rounds', '3']. */
  path: string[];
  /** `#/runners?runners=2`: which page of a table is shown. */
  query: ReadonlyMap<string, string>;
}

export function parseRoute(hash: string): Route {
  const [view = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { path: view.split('/').filter(Boolean).map(decode), query: new Map(new URLSearchParams(query)) };
}

/** @example href('jobs', job, 'rounds', 3) // '#/jobs/0x…/rounds/3' */
export const href = (...path: (string | number)[]): string =>
  `#/${path.map((part) => encodeURIComponent(String(part))).join('/')}`;

/** The view that is shown, with one parameter set anew; null takes it away. */
export function hrefWith(name: string, value: string | number | null): string {
  const { path, query } = route.value;
  const rest = [...query].filter(([key]) => key !== name);
  const all = new URLSearchParams(value === null ? rest : [...rest, [name, String(value)]]).toString();
  return href(...path) + (all === '' ? '' : `?${all}`);
}

export const route = signal<Route>({ path: [], query: new Map() });

export function followRoute(): void {
  addEventListener('hashchange', () => {
    const before = route.peek().path.join('/');
    read();
    // A new view begins where a reader of pages expects it to; another page of a table is not one.
    if (route.peek().path.join('/') !== before)
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
