import { useEffect } from 'preact/hooks';
import { Job } from './screens/Job.js';
import { Jobs } from './screens/Jobs.js';
import { Mine } from './screens/Mine.js';
import { Models } from './screens/Models.js';
import { Overview } from './screens/Overview.js';
import { Rewards } from './screens/Rewards.js';
import { Runners } from './screens/Runners.js';
import { Stack } from './screens/Stack.js';
import { Version } from './screens/Version.js';
import { config, configIsOld } from './state/config.js';
import { now, staleAfter, staleness } from './state/resource.js';
import { href, route } from './state/route.js';
import { age } from './text/format.js';
import { strings } from './text/strings.js';

export function App() {
  const [first = '', id, , third] = route.value.path;
  const screen = first === 'versions' ? 'models' : first;
  useEffect(() => {
    document.title = first === '' ? strings.name : `${nameOf(screen)} · ${strings.name}`;
  }, [first, screen]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        {strings.skip}
      </a>
      <header class="bar">
        <a class="brand" href={href()}>
          <Mark /> {strings.name}
        </a>
        <nav aria-label="Screens">
          {(config.value?.mine ? [mineLink, ...links] : links).map(([path, name]) => (
            <a
              key={path}
              href={href(...(path === '' ? [] : [path]))}
              aria-current={screen === path ? 'page' : undefined}
            >
              {name}
            </a>
          ))}
        </nav>
      </header>
      <Stale />
      <main id="main" tabIndex={-1}>
        <Screen first={first} id={id} round={third} />
      </main>
    </>
  );
}

const links: readonly (readonly [string, string])[] = [
  ['', strings.nav.overview],
  ['jobs', strings.nav.jobs],
  ['models', strings.nav.models],
  ['runners', strings.nav.runners],
  ['rewards', strings.nav.rewards],
  ['stack', strings.nav.stack],
];
/** Only a runner's own page has it. */
const mineLink = ['mine', strings.nav.mine] as const;
const nameOf = (screen: string): string =>
  [...links, mineLink].find(([path]) => path === screen)?.[1] ?? screen;

function Screen({ first, id, round }: { first: string; id: string | undefined; round: string | undefined }) {
  switch (first) {
    case '':
      return <Overview />;
    case 'jobs':
      return id === undefined ? (
        <Jobs />
      ) : (
        <Job key={id} id={id} round={round === undefined ? null : Number(round)} />
      );
    case 'models':
      return <Models />;
    case 'versions':
      return <Version key={id} id={id ?? ''} />;
    case 'runners':
      return <Runners />;
    case 'rewards':
      return <Rewards />;
    case 'mine':
      return <Mine token={id} />;
    case 'stack':
      return <Stack />;
    default:
      return <h1>{strings.notFound}</h1>;
  }
}

/** Says so when the API is silent or late; what was read stays on screen with its age. */
function Stale() {
  const worst = staleness(now.value);
  if (!worst) return null;
  const said = age(worst.ms);
  return (
    <p class="stale">
      {/* Said aloud once; the age beside it changes every second. */}
      <span role="status">{worst.silent ? strings.silent : strings.late}</span>{' '}
      {!worst.nothing && (worst.ms > staleAfter ? strings.stale(said) : strings.recent(said))}{' '}
      {configIsOld.value && strings.oldConfig}
    </p>
  );
}

/** The fragment names the view, so the skip link moves the focus itself. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Mark() {
  return (
    <svg class="mark-logo" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <circle cx="16" cy="16" r="8" />
      <circle class="seat" cx="16" cy="3.5" r="3" />
      <circle class="seat" cx="28.5" cy="16" r="3" />
      <circle class="seat" cx="16" cy="28.5" r="3" />
      <circle class="free" cx="3.5" cy="16" r="2.2" />
    </svg>
  );
}
