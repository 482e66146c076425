import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { Facts, Hash, Note } from '../parts/basics.js';
import { config } from '../state/config.js';
import { strings } from '../text/strings.js';
import { connect, connection, lookForWallets, switchChain, wallets, type Connection } from './wallet.js';

const refusal = signal<string | null>(null);

/** Chooses a wallet and shows its account; the children only when it is on the stack's chain. */
export function WithWallet({
  command,
  children,
}: {
  /** What does the same without a wallet in the browser. */
  command: string;
  children: (connection: Connection) => ComponentChildren;
}) {
  useEffect(lookForWallets, []);
  const current = connection.value;
  const wanted = config.value?.deployment.chainId;
  const attempt = async (work: () => Promise<unknown>) => {
    refusal.value = null;
    try {
      await work();
    } catch (error) {
      refusal.value = strings.wallet.declined(error instanceof Error ? error.message : String(error));
    }
  };
  if (wallets.value.length === 0)
    return (
      <Note>
        {strings.wallet.none} <code>{command}</code>
      </Note>
    );
  return (
    <>
      {wallets.value.map((wallet) => (
        <button
          key={wallet.uuid}
          type="button"
          aria-pressed={current?.wallet === wallet}
          onClick={() => void attempt(() => connect(wallet))}
        >
          {strings.wallet.use(wallet.name)}
        </button>
      ))}
      {current && (
        <Facts
          facts={[
            [strings.wallet.account, <Hash value={current.account} />],
            [strings.wallet.chain, String(current.chainId)],
          ]}
        />
      )}
      {refusal.value !== null && (
        <p class="problem" role="alert">
          {refusal.value}
        </p>
      )}
      {current && wanted !== undefined && current.chainId !== wanted && (
        <p class="problem" role="alert">
          {strings.wallet.wrongChain(current.chainId, wanted)}{' '}
          <button type="button" onClick={() => void attempt(() => switchChain(current, wanted))}>
            {strings.wallet.switchTo(wanted)}
          </button>
        </p>
      )}
      {current && current.chainId === wanted && children(current)}
    </>
  );
}
