import { useEffect, useState } from 'preact/hooks';
import type { ActPlace } from '#core/acts.js';
import type { ActStatement } from '#core/eip712.js';
import { allResources } from '../state/stack.js';
import { moment } from '../text/format.js';
import { strings } from '../text/strings.js';
import { readPlace, signAndSend, statementOf, type Act } from './act.js';
import { Declined, type Connection } from './wallet.js';
import { WithWallet } from './WithWallet.js';

/** What an act does, in words; what the wallet will show; and what came of it. */
export function ActForm({ act }: { act: Act }) {
  const [reason, setReason] = useState('');
  const words = strings.acts[act.action];
  return (
    <>
      <p>{words.does}</p>
      {'reason' in words && (
        <label>
          {words.reason}
          <input
            type="text"
            maxLength={300}
            value={reason}
            onInput={({ currentTarget }) => setReason(currentTarget.value)}
          />
        </label>
      )}
      <WithWallet command={commandOf(act)}>
        {(connection) => <Signing act={act} reason={reason.trim()} connection={connection} />}
      </WithWallet>
    </>
  );
}

type Outcome = { state: 'asking' | 'done' | 'refused'; text: string };

function Signing({ act, reason, connection }: { act: Act; reason: string; connection: Connection }) {
  const [place, setPlace] = useState<ActPlace | null>(null);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const refuse = (error: unknown) => setOutcome({ state: 'refused', text: messageOf(error) });
  useEffect(() => {
    readPlace().then(setPlace, refuse);
  }, []);
  const send = async () => {
    try {
      setOutcome({ state: 'asking', text: strings.wallet.asking });
      // Its times begin now, and not when the dialog was opened.
      const current = await readPlace();
      setPlace(current);
      const outcome = await signAndSend(connection, current, statementOf(current, act, reason));
      setOutcome({ state: 'done', text: strings.wallet.done(outcome) });
      for (const resource of allResources()) void resource.refresh();
    } catch (error) {
      refuse(error);
    }
  };
  const lacksReason = act.action === 'runner.suspend' && reason === '';
  return (
    <>
      {place && (
        <>
          <h3>{strings.wallet.signs}</h3>
          <dl class="signed">
            {Object.entries(shownFields(statementOf(place, act, reason))).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
      <div class="buttons">
        <button
          type="button"
          class="primary"
          disabled={!place || lacksReason || outcome?.state === 'asking' || outcome?.state === 'done'}
          onClick={() => void send()}
        >
          {strings.wallet.sign(connection.wallet.name)}
        </button>
      </div>
      <p class={`verdict ${outcome === null ? '' : outcomeClass[outcome.state]}`} role="status">
        {outcome?.text}
      </p>
    </>
  );
}

const outcomeClass = { asking: '', done: 'true', refused: 'false' };

function shownFields({ stack, url, action, target, reason, expiry }: ActStatement): Record<string, string> {
  return {
    stack,
    ...(url === '' ? {} : { url }),
    action,
    target,
    ...(reason === '' ? {} : { reason }),
    expiry: moment(new Date(Number(expiry) * 1_000).toISOString()),
  };
}

function commandOf({ action, target }: Act): string {
  return `npx roundtable ${action.replace('.', ' ')} ${target.slice(0, 12)}`;
}

function messageOf(error: unknown): string {
  if (error instanceof Declined && error.byPerson) return strings.wallet.youDeclined;
  return strings.wallet.refused(error instanceof Error ? error.message : String(error));
}
