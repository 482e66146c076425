import { JsonRpcProvider, type Wallet } from 'ethers';
import type { Page } from 'playwright-core';
import { expect } from '@jest/globals';

/** A wallet as an extension injects one: it announces itself (EIP-6963) and answers a page (EIP-1193). */
export interface InjectedWallet {
  /** What it was asked to sign, as the page sent it. */
  signed: { domain: Record<string, unknown>; message: Record<string, string> }[];
  /** What the person does with the next questions. */
  declines: boolean;
  /** Tells the page of another chain or account, as a person changes it in the wallet. */
  changeChain(chainId: number): Promise<void>;
  changeAccount(wallet: Wallet): Promise<void>;
}

/** Hostile in its name, as far as a name can be. */
export const walletName = 'Purse <img src=x onerror="document.title=1">';

/**
 * Puts a wallet with a real key into a page, in front of a real node. To be called before the page is opened.
 * @param options account: a contract's that the key signs for, behind whose signatures such a wallet writes more
 */
export async function injectWallet(
  page: Page,
  options: { wallet: Wallet; rpcUrl: string; chainId: number; account?: string },
): Promise<InjectedWallet> {
  let { wallet, chainId } = options;
  const node = new JsonRpcProvider(options.rpcUrl, options.chainId, { staticNetwork: true });
  const injected: InjectedWallet = {
    signed: [],
    declines: false,
    changeChain: async (to) => {
      chainId = to;
      await page.evaluate(`walletEmit('chainChanged', '0x${to.toString(16)}')`);
    },
    changeAccount: async (to) => {
      wallet = to;
      await page.evaluate(`walletEmit('accountsChanged', ['${to.address}'])`);
    },
  };
  const answer = async (method: string, params: string[]): Promise<unknown> => {
    if (method === 'eth_chainId') return `0x${chainId.toString(16)}`;
    if (/^eth_(requestAccounts|accounts)$/.test(method)) return [options.account ?? wallet.address];
    const asksPerson = /^(eth_signTypedData_v4|eth_sendTransaction|wallet_)/.test(method);
    if (asksPerson && injected.declines)
      throw Object.assign(new Error('User rejected the request.'), { code: 4001 });
    if (method === 'wallet_switchEthereumChain') return injected.changeChain(options.chainId);
    if (method === 'eth_signTypedData_v4') {
      const { domain, types, message } = JSON.parse(params[1] ?? '') as InjectedWallet['signed'][number] & {
        types: Record<string, { name: string; type: string }[]>;
      };
      injected.signed.push({ domain, message });
      const { EIP712Domain: _, ...own } = types;
      const signature = await wallet.signTypedData(domain, own, message);
      return options.account === undefined ? signature : `${signature}${'00'.repeat(32)}`;
    }
    if (method === 'eth_sendTransaction') {
      const [call] = params as unknown as [{ to: string; data: string; gas: string }];
      const sent = await wallet
        .connect(node)
        .sendTransaction({ to: call.to, data: call.data, gasLimit: call.gas });
      return sent.hash;
    }
    return node.send(method, params);
  };
  await page.exposeFunction('walletRequest', async (method: string, params: string) => {
    try {
      return JSON.stringify({ result: (await answer(method, JSON.parse(params) as string[])) ?? null });
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string };
      return JSON.stringify({ error: { code, message } });
    }
  });
  page.on('close', () => node.destroy());
  await page.addInitScript(`(() => {
    const heard = {};
    const provider = {
      request: async ({ method, params = [] }) => {
        const { result, error } = JSON.parse(await walletRequest(method, JSON.stringify(params)));
        if (error) throw Object.assign(new Error(error.message), { code: error.code });
        return result;
      },
      on: (event, listener) => void (heard[event] ??= []).push(listener),
    };
    window.walletEmit = (event, value) => (heard[event] ?? []).forEach((listener) => listener(value));
    const info = { uuid: '350670db-19fa-4704-a166-e52e178b59d2', name: ${JSON.stringify(walletName)}, icon: 'data:image/svg+xml,<svg/>', rdns: 'test.purse' };
    const announce = () =>
      dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
    addEventListener('eip6963:requestProvider', announce);
    announce();
  })()`);
  return injected;
}

/** Takes the wallet that is offered; its name is text. */
export async function choose(page: Page): Promise<void> {
  const button = page.locator('dialog button', { hasText: 'Use ' });
  expect(await button.innerText()).toBe(`Use ${walletName}`);
  await button.click();
}
