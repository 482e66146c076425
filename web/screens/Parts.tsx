import { useEffect, useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { Badge, Section } from '../parts/basics.js';
import { Table } from '../parts/Table.js';
import { config, type Config } from '../state/config.js';
import { age, count } from '../text/format.js';
import { strings } from '../text/strings.js';

/** What this stack consists of as far as a browser reaches it, each part asked just now. */
export function Parts() {
  const settings = config.value;
  const [found, setFound] = useState<readonly Part[]>([]);
  useEffect(() => {
    if (!settings) return;
    let current = true;
    const ask = async () => {
      if (document.visibilityState !== 'visible') return;
      const parts = await Promise.all(asked(settings).map(probe));
      if (current) setFound(parts);
    };
    void ask();
    const timer = setInterval(() => void ask(), every);
    return () => {
      current = false;
      clearInterval(timer);
    };
  }, [settings]);
  if (!settings) return null;
  return (
    <Section title={strings.stack.parts}>
      <Table
        name="parts"
        caption={strings.stack.parts}
        rows={found}
        keyOf={({ name, url }) => `${name} ${url}`}
        columns={[
          { title: 'Part', show: ({ name }) => <strong>{name}</strong>, value: ({ name }) => name },
          {
            title: 'State',
            show: ({ state }) => <Badge kind={state === 'answers' ? 'done' : 'failed'}>{state}</Badge>,
            value: ({ state }) => state,
          },
          { title: 'Says', show: ({ says }) => says, value: ({ says }) => says },
          {
            title: 'Time',
            right: true,
            show: ({ ms }) => (ms === null ? '–' : `${Math.round(ms)} ms`),
            value: ({ ms }) => ms && Math.round(ms),
          },
          { title: 'Where', wide: true, show: ({ url }) => <code>{url}</code>, value: ({ url }) => url },
        ]}
      />
      {settings.temporalUi !== null && (
        <p>
          {strings.stack.workflows}: <Outside url={settings.temporalUi}>Temporal</Outside>
        </p>
      )}
    </Section>
  );
}

function Outside({ url, children }: { url: string; children: ComponentChildren }) {
  return (
    <a href={url} rel="noreferrer">
      {children}
    </a>
  );
}

const every = 15_000;

interface Asked {
  name: string;
  url: string;
  ask: (url: string) => Promise<string>;
}

interface Part {
  name: string;
  url: string;
  state: 'answers' | 'silent';
  says: string;
  ms: number | null;
}

function asked({ api, rpcUrls, gateways, deployment }: Config): Asked[] {
  const absolute = new URL(api, document.baseURI).href.replace(/\/+$/, '');
  return [
    { name: 'API', url: absolute, ask: apiHealth },
    ...rpcUrls.map((url) => ({ name: strings.stack.chain, url, ask: chainHead(deployment.chainId) })),
    ...gateways.map((url) => ({ name: strings.stack.archive, url, ask: archiveHead })),
  ];
}

async function probe({ name, url, ask }: Asked): Promise<Part> {
  const begun = performance.now();
  try {
    const says = await ask(url);
    return { name, url, state: 'answers', says, ms: performance.now() - begun };
  } catch (error) {
    const known = error instanceof Error && error.name === 'Error';
    return { name, url, state: 'silent', says: known ? error.message : strings.stack.noAnswer, ms: null };
  }
}

const options = () =>
  ({ signal: AbortSignal.timeout(5_000), cache: 'no-store', referrerPolicy: 'no-referrer' }) as const;

async function apiHealth(url: string): Promise<string> {
  const response = await fetch(`${url}/health`, options());
  if (!response.ok) throw new Error(`answers ${response.status}`);
  return 'well';
}

/** The newest block with its age; a node of another chain is as good as none. */
const chainHead =
  (chainId: number) =>
  async (url: string): Promise<string> => {
    const rpc = async <T,>(method: string, params: unknown[]): Promise<T> => {
      const response = await fetch(url, {
        ...options(),
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      });
      return ((await response.json()) as { result: T }).result;
    };
    const id = Number(await rpc<string>('eth_chainId', []));
    if (id !== chainId) throw new Error(`is on chain ${id}, not ${chainId}`);
    const head = await rpc<{ number: string; timestamp: string }>('eth_getBlockByNumber', ['latest', false]);
    return `block ${count(Number(head.number))}, ${age(Date.now() - 1_000 * Number(head.timestamp))}`;
  };

async function archiveHead(url: string): Promise<string> {
  const { height } = (await (await fetch(`${url}/info`, options())).json()) as { height: number };
  return `height ${count(height)}`;
}
