import { signal, type Signal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import { config, keepSources, ownSources, sourcesOf } from '../state/config.js';
import { isFalse, isTrue, verify, type Verification } from '../state/verification.js';
import type { Check } from '../verify/checks.js';
import type { Said } from '../verify/messages.js';
import { seconds, short } from '../text/format.js';
import { strings } from '../text/strings.js';

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
}: {
  outcome: Signal<Verification | null>;
  trueWords: (count: number, ms: string) => string;
}) {
  const result = outcome.value;
  return (
    <div aria-live="polite">
      {result && (
        <>
          <Verdict result={result} trueWords={trueWords} />
          <CheckList checks={result.checks} />
        </>
      )}
    </div>
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

function CheckList({ checks }: { checks: readonly Check[] }) {
  if (checks.length === 0) return null;
  const groups = [...new Set(checks.map(({ group }) => group))];
  return (
    <div class="scroll" role="region" aria-label="What was compared" tabIndex={0}>
      <table class="checks">
        <caption class="unseen">What was compared</caption>
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
        {groups.map((group) => (
          <tbody key={group}>
            <tr class="group">
              <th scope="rowgroup" colSpan={4}>
                {group}
              </th>
            </tr>
            {checks
              .filter((check) => check.group === group)
              .map((check, i) => (
                <CheckRow key={i} check={check} />
              ))}
          </tbody>
        ))}
      </table>
    </div>
  );
}

function CheckRow({ check: { name, how, expected, got, ok } }: { check: Check }) {
  const mark = ok === null ? 'not checked' : ok ? 'agrees' : 'differs';
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
