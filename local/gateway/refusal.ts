import type { ContentfulStatusCode } from 'hono/utils/http-status';

/**
 * What a node of the network answers to something it does not take. Clients decide by the words in `body` whether
 * to try again, so they are the network's own (apps/arweave/src/ar_http_iface_middleware.erl).
 */
export class Refusal extends Error {
  constructor(
    readonly status: ContentfulStatusCode,
    readonly body: string | { error: string },
  ) {
    super(typeof body === 'string' ? body : body.error);
  }
}
