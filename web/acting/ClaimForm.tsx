import { useEffect, useState } from 'preact/hooks';
import type { Hex } from '#core/hex.js';
import { Facts, Hash } from '../parts/basics.js';
import { config } from '../state/config.js';
import { count, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';
import type { Claim } from '../verify/rewards.js';
import { readDue, sendClaim, simulateClaim, type Estimate } from './claim.js';
import { Declined, type Connection } from './wallet.js';
import { WithWallet } from './WithWallet.js';

/** A share that this browser has proved. */
export interface Claimable {
  account: Hex;
  name: string;
  claim: Claim;
}

export function ClaimForm({ claimable }: { claimable: Claimable }) {
  return (
    <>
      <p>{strings.claim.does}</p>
      <WithWallet command="npx roundtable rewards claim">
        {(connection) => <Claiming claimable={claimable} connection={connection} />}
      </WithWallet>
    </>
  );
}

type Step =
  | { state: 'simulating' | 'sending' | 'waiting' }
  | { state: 'ready'; due: bigint; estimate: Estimate }
  | { state: 'nothing' }
  | { state: 'paid'; due: bigint; transaction: Hex; gas: number }
  | { state: 'refused'; reason: string };

function Claiming({ claimable, connection }: { claimable: Claimable; connection: Connection }) {
  const { account, claim } = claimable;
  const rewards = config.value?.deployment.rewards;
  const [step, setStep] = useState<Step>({ state: 'simulating' });
  const refuse = (error: unknown) => setStep({ state: 'refused', reason: reasonOf(error) });
  const simulate = async () => {
    if (rewards === undefined) return;
    setStep({ state: 'simulating' });
    const due = await readDue(connection, rewards, claim);
    if (due === 0n) return setStep({ state: 'nothing' });
    setStep({ state: 'ready', due, estimate: await simulateClaim(connection, rewards, claim) });
  };
  useEffect(() => void simulate().catch(refuse), [connection, claim]);
  const send = async (due: bigint, estimate: Estimate) => {
    if (rewards === undefined) return;
    try {
      setStep({ state: 'sending' });
      const { transaction, gas } = await sendClaim(connection, rewards, claim, estimate, () =>
        setStep({ state: 'waiting' }),
      );
      setStep({ state: 'paid', due, transaction, gas });
    } catch (error) {
      refuse(error);
    }
  };
  const ready = step.state === 'ready' ? step : null;
  return (
    <>
      {ready && (
        <>
          <Facts
            facts={[
              [strings.claim.pays, `${tokens(String(ready.due))}`],
              [strings.claim.to, <Hash value={account} />],
              [strings.claim.epoch, String(claim.epoch)],
            ]}
          />
          <p>{costWords(ready.estimate)}</p>
          {ready.estimate.wei > ready.estimate.balance && (
            <p class="problem" role="alert">
              {strings.claim.tooPoor(tokens(String(ready.estimate.balance)))}
            </p>
          )}
        </>
      )}
      <div class="buttons">
        <button
          type="button"
          class="primary"
          disabled={!ready}
          onClick={() => ready && void send(ready.due, ready.estimate)}
        >
          {strings.claim.send}
        </button>
      </div>
      <p
        class={`verdict ${step.state === 'paid' ? 'true' : step.state === 'refused' ? 'false' : ''}`}
        role="status"
      >
        {stepWords(step)}
      </p>
      {step.state === 'paid' && <Hash value={step.transaction} />}
    </>
  );
}

function costWords({ gas, gasPrice, wei }: Estimate): string {
  return strings.claim.cost(count(gas), tokens(String(gasPrice), 9), tokens(String(wei), 18, 8));
}

function stepWords(step: Step): string {
  switch (step.state) {
    case 'simulating':
      return strings.claim.simulating;
    case 'ready':
      return strings.claim.simulated;
    case 'sending':
      return strings.wallet.asking;
    case 'waiting':
      return strings.claim.waiting;
    case 'nothing':
      return strings.claim.nothing;
    case 'paid':
      return strings.claim.paid(tokens(String(step.due)), count(step.gas));
    case 'refused':
      return step.reason;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Declined && error.byPerson) return strings.wallet.youDeclined;
  return strings.claim.refused(error instanceof Error ? error.message : String(error));
}
