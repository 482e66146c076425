import { useEffect, useState } from 'preact/hooks';
import type { RoundView } from '#core/views.js';
import { Command, Facts, Note, Section } from '../parts/basics.js';
import { config } from '../state/config.js';
import { useMaybe, useResource } from '../state/resource.js';
import { epochs, jobs, rounds as roundsOf, runners } from '../state/stack.js';
import { count, tokens } from '../text/format.js';
import { strings } from '../text/strings.js';

/** What the newest job's rounds cost on chain, at the price that the node asks now, and how to ask for the cloud's. */
export function Costs() {
  const newest = useResource(jobs()).data.value?.items[0];
  const held = useMaybe(newest ? roundsOf(newest.job) : null)?.data.value?.items ?? [];
  const published = useResource(epochs()).data.value?.items ?? [];
  const enrolled = useResource(runners()).data.value?.items.length ?? 0;
  const price = useGasPrice();
  const gas = middle(held.filter(({ phase }) => phase === 'done').map(gasOf));
  const epoch = middle(published.flatMap(({ transaction }) => (transaction ? [transaction.gas] : [])));
  return (
    <Section title={strings.stack.costs}>
      {gas === null ? (
        <Note>{strings.stack.noCosts}</Note>
      ) : (
        <Facts
          facts={[
            [strings.stack.gasOfRound, count(gas)],
            [strings.stack.gasPrice, price === null ? '–' : `${tokens(String(price), 9)} gwei`],
            [strings.stack.costOfRound, price === null ? '–' : `${ether(BigInt(gas) * price)} ether`],
            epoch === null ? null : [strings.stack.gasOfEpoch, count(epoch)],
          ]}
        />
      )}
      <p class="explain">{strings.stack.cloud}</p>
      <Command
        line={`npx roundtable cost --runners ${enrolled || 4} --rounds ${newest?.spec.rounds ?? 100} --params 1e6`}
      />
    </Section>
  );
}

const gasOf = ({ transactions }: RoundView): number => transactions.reduce((sum, { gas }) => sum + gas, 0);

function middle(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

/** Three digits that count: on an L2 a round costs very little. */
const ether = (wei: bigint): string => (Number(wei / 10n ** 9n) / 1e9).toPrecision(3);

/** Wei per gas, as the stack's node asks for it now. */
function useGasPrice(): bigint | null {
  const [price, setPrice] = useState<bigint | null>(null);
  const url = config.value?.rpcUrls[0];
  useEffect(() => {
    if (url === undefined) return;
    let current = true;
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_gasPrice', params: [] }),
      signal: AbortSignal.timeout(5_000),
      referrerPolicy: 'no-referrer',
    })
      .then(async (response) => (await response.json()) as { result: string })
      .then(
        ({ result }) => current && setPrice(BigInt(result)),
        () => undefined,
      );
    return () => void (current = false);
  }, [url]);
  return price;
}
