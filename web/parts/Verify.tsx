import { signal, type Signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import { config, keepSources, ownSources, sourcesOf } from '../state/config.js';
import { isFalse, isTrue, verify, type Verification } from '../state/verification.js';
import type { Check } from '../verify/checks.js';
import type { Said } from '../verify/messages.js';
import { count, seconds, short } from '../text/format.js';
import { strings } from '../text/strings.js';
import { Files } from './Table.js';

/** The buttons, the settings and the outcome for one version. */
export function VerifyVersion({ version, said }: { version: Hex; said: Said }) {
  const outcome = useMemo(() => signal<Verification | null>(null), [version]);
  const settings = config.value;
  if (!settings) return null;
  const start = (flip: boolean) =>
    verify(sourcesOf(settings), { kind: 'version', version, said, flip }, outcome);
  return (
    <div class="verify">
      <p class="explain">{strings.model.explain}</p>
      <SourceFields />
      <div class="buttons">
        <button type="button" class="primary" onClick={() => start(false)}>
          {strings.model.start}
        </button>
        <button type="button" onClick={() => start(true)} title={strings.model.flipExplain}>
          {strings.model.flip}
        </button>
      </div>
      <Outcome outcome={outcome} trueWords={(count, ms) => strings.model.isTrue(count, ms)} />
    </div>
  );
}

export function Outcome({
  outcome,
  trueWords,
  folded = false,
}: {
  outcome: Signal<Verification | null>;
  trueWords: (count: number, ms: string) => string;
  /** The comparisons are opened by whoever wants to see them, unless one is wrong. */
  folded?: boolean;
}) {
  const result = outcome.value;
  return (
    <>
      <div aria-live="polite">{result && <Verdict result={result} trueWords={trueWords} />}</div>
      {result?.state === 'running' && result.progress && (
        <progress
          value={result.progress.done}
          max={result.progress.all}
          aria-label={strings.check.progress}
        />
      )}
      {result && folded && !isFalse(result) && result.checks.length > 0 ? (
        <details>
          <summary>{strings.check.caption}</summary>
          <CheckList checks={result.checks} />
        </details>
      ) : (
        result && <CheckList checks={result.checks} />
      )}
    </>
  );
}

function Verdict({
  result,
  trueWords,
}: {
  result: Verification;
  trueWords: (count: number, ms: string) => string;
}) {
  const { checks, flipped, ms, reason, state } = result;
  if (state === 'running') return <p class="verdict">{strings.model.running}</p>;
  const names = checks
    .filter(({ ok }) => ok === false)
    .map(({ group, name }) => `${group.toLowerCase()}, ${name}`);
  if (isFalse(result))
    return (
      <p class="verdict false">
        {(flipped ? strings.model.flippedFalse : strings.model.isFalse)(names.slice(0, 6).join('; '))}
      </p>
    );
  if (isTrue(result))
    return <p class="verdict true">{trueWords(checks.filter(({ ok }) => ok).length, seconds(ms / 1000))}</p>;
  return <p class="verdict">{strings.model.stopped(reason ?? 'nothing was checked')}</p>;
}

/** Groups that are drawn; rewards of years have thousands, and their file has all of them. */
const mostGroups = 60;

function CheckList({ checks }: { checks: readonly Check[] }) {
  const groups = useMemo(() => grouped(checks), [checks]);
  if (checks.length === 0) return null;
  return (
    <div class="table">
      <div class="scroll" role="region" aria-label={strings.check.caption} tabIndex={0}>
        <table class="checks">
          <caption class="unseen">{strings.check.caption}</caption>
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Expected</th>
              <th scope="col">Got</th>
              <th scope="col" class="wide">
                From | by
              </th>
            </tr>
          </thead>
          {groups.slice(0, mostGroups).map(([group, members]) => (
            <tbody key={group}>
              <tr class="group">
                <th scope="rowgroup" colSpan={4}>
                  {group}
                </th>
              </tr>
              {members.map((check, i) => (
                <CheckRow key={i} check={check} />
              ))}
            </tbody>
          ))}
        </table>
      </div>
      <footer>
        {groups.length > mostGroups && <span>{strings.check.more(count(groups.length - mostGroups))}</span>}
        <Files name="checks" columns={checkColumns} rows={checks} />
      </footer>
    </div>
  );
}

/** In the order of the checks, but where not all can be drawn those with something wrong come first. */
function grouped(checks: readonly Check[]): [string, Check[]][] {
  const groups = new Map<string, Check[]>();
  for (const check of checks) {
    const members = groups.get(check.group);
    if (members) members.push(check);
    else groups.set(check.group, [check]);
  }
  const all = [...groups];
  if (all.length <= mostGroups) return all;
  return [...all.filter(isWrong), ...all.filter((group) => !isWrong(group))];
}

const isWrong = ([, members]: [string, Check[]]): boolean => members.some(({ ok }) => ok === false);

const checkColumns: { title: string; value: (check: Check) => string }[] = [
  { title: 'Of', value: ({ group }) => group },
  { title: 'Field', value: ({ name }) => name },
  { title: 'Expected', value: ({ expected }) => expected },
  { title: 'Got', value: ({ got }) => got },
  { title: 'Outcome', value: ({ ok }) => outcomeWords(ok) },
  { title: 'From | by', value: ({ how }) => how },
];

const outcomeWords = (ok: Check['ok']): string => (ok === null ? 'not checked' : ok ? 'agrees' : 'differs');

function CheckRow({ check: { name, how, expected, got, ok } }: { check: Check }) {
  const mark = outcomeWords(ok);
  return (
    <tr class={ok === false ? 'wrong' : ''}>
      <td>
        <span class={`mark ${mark.replace(' ', '-')}`} role="img" aria-label={mark} />
        {name.replace(/0x[0-9a-f]{40}/, (address) => short(address, 6))}
      </td>
      <td>
        <code title={expected}>{short(expected, 14)}</code>
      </td>
      <td>
        <code title={got}>{ok === null ? got : short(got, 14)}</code>
      </td>
      <td class="wide how">{how}</td>
    </tr>
  );
}

/** From where expected values come; kept on this device only. */
export function SourceFields() {
  const settings = config.value;
  const own = ownSources.value;
  if (!settings) return null;
  return (
    <details class="sources" open={own.rpcUrl !== '' || own.jobs !== ''}>
      <summary>
        {strings.model.nodeHint} <code>{own.rpcUrl || settings.rpcUrls[0]}</code>
      </summary>
      <label>
        {strings.model.node}
        <input
          type="url"
          value={own.rpcUrl}
          placeholder={settings.rpcUrls[0] ?? ''}
          onChange={({ currentTarget }) => keepSources({ ...own, rpcUrl: currentTarget.value.trim() })}
        />
      </label>
      <label>
        {strings.model.contract}
        <input
          type="text"
          value={own.jobs}
          placeholder={settings.deployment.jobs}
          onChange={({ currentTarget }) => keepSources({ ...own, jobs: currentTarget.value.trim() })}
        />
      </label>
    </details>
  );
}
