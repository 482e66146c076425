import type { Command } from 'commander';
import type { Context } from '../command.js';
import type { Does } from '../run.js';
import { openHome } from './home.js';
import type { OwnerProgram } from './ownerVerbs.js';
import { serveOwnerPage } from './page.js';

/** `page`: for an agent that a service manager runs; `start --page` serves it with the agent. */
export function pageVerb(parent: Command, does: Does, program: OwnerProgram): void {
  parent
    .command('page [home]')
    .description("the runner's own page, served on this machine until Ctrl-C")
    .addHelpText('after', `\nExample:\n  $ ${program.name} page /srv/runner`)
    .action(
      does(async (context, _options, given) => {
        const home = await openHome(context, given);
        const page = await serveOwnerPage(home, program.page, context.signal);
        context.print({ url: page.url }, () => [
          page.url,
          'For you alone: the address opens the decision log.',
        ]);
        await aborted(context.signal);
        await page.close();
      }),
    );
}

/** Serves the page beside the agent. A page that cannot be served is no reason not to train. @returns what to say */
export async function showPage(context: Context, program: OwnerProgram, folder: string): Promise<string> {
  try {
    const page = await serveOwnerPage(await openHome(context, folder), program.page, context.signal);
    context.signal.addEventListener('abort', () => void page.close(), { once: true });
    return `its page, for you alone: ${page.url}`;
  } catch (error) {
    return `its page is not served: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
