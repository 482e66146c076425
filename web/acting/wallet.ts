import { signal } from '@preact/signals';
import type { Hex } from '#core/hex.js';

/** What a wallet gives a page (EIP-1193). */
export interface Provider {
  request(call: { method: string; params?: unknown[] }): Promise<unknown>;
  on?(event: string, heard: (value: never) => void): void;
}

/** A wallet that has announced itself (EIP-6963). Its icon is left out: the page shows no picture of others. */
export interface Wallet {
  uuid: string;
  name: string;
  provider: Provider;
}

/** The account and chain that a wallet shows this page at present. */
export interface Connection {
  wallet: Wallet;
  account: Hex;
  chainId: number;
}

export const wallets = signal<readonly Wallet[]>([]);
export const connection = signal<Connection | null>(null);

let looking = false;

/** Asks the wallets of this browser to announce themselves; those that come later are added. */
export function lookForWallets(): void {
  if (!looking)
    addEventListener('eip6963:announceProvider', ({ detail }: CustomEventInit<Announcement>) => {
      if (!detail || wallets.peek().some(({ uuid }) => uuid === detail.info.uuid)) return;
      const { uuid, name } = detail.info;
      wallets.value = [
        ...wallets.peek(),
        { uuid, name: String(name).slice(0, 60), provider: detail.provider },
      ];
    });
  looking = true;
  dispatchEvent(new Event('eip6963:requestProvider'));
}

interface Announcement {
  info: { uuid: string; name: string };
  provider: Provider;
}

const heard = new WeakSet<Provider>();

/** Asks for an account. What the wallet changes later, account or chain, the connection follows. @throws Declined */
export async function connect(wallet: Wallet): Promise<void> {
  listen(wallet);
  await follow(wallet, await ask<string[]>(wallet.provider, 'eth_requestAccounts'));
}

function listen(wallet: Wallet): void {
  const { provider } = wallet;
  if (heard.has(provider)) return;
  heard.add(provider);
  const isOurs = () => connection.peek()?.wallet === wallet;
  provider.on?.('accountsChanged', (changed: string[]) => void (isOurs() && follow(wallet, changed)));
  provider.on?.('chainChanged', (chainId: string) => {
    const current = connection.peek();
    if (current && isOurs()) connection.value = { ...current, chainId: Number(chainId) };
  });
  provider.on?.('disconnect', () => void (isOurs() && (connection.value = null)));
}

async function follow(wallet: Wallet, [account]: string[]): Promise<void> {
  connection.value =
    account === undefined
      ? null
      : {
          wallet,
          account: account.toLowerCase() as Hex,
          chainId: Number(await ask<string>(wallet.provider, 'eth_chainId')),
        };
}

/** Asks the wallet to go to another chain; whether it did shows in the connection. @throws Declined */
export const switchChain = ({ wallet }: Connection, chainId: number): Promise<unknown> =>
  ask(wallet.provider, 'wallet_switchEthereumChain', [{ chainId: `0x${chainId.toString(16)}` }]);

/** The person, or the wallet, said no; or the node behind the wallet did. */
export class Declined extends Error {
  constructor(
    message: string,
    readonly byPerson: boolean,
  ) {
    super(message);
  }
}

/** @throws Declined, in the wallet's words */
export async function ask<T>(provider: Provider, method: string, params: unknown[] = []): Promise<T> {
  try {
    return (await provider.request({ method, params })) as T;
  } catch (error) {
    const { code, message } = Object(error) as { code?: number; message?: string };
    throw new Declined(String(message ?? error).slice(0, 300), code === userRejected);
  }
}

/** EIP-1193, provider errors. */
const userRejected = 4001;
