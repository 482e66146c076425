import { RoundtableError } from './errors.js';

/**
 * Requests of runners and members to a stack carry an EIP-191 signature over this text, so that a stack keeps
 * no sessions and a signature serves one stack, one path, one body and five minutes.
 */
export interface RequestToSign {
  method: string;
  /** Path with query, as sent. */
  path: string;
  /** SHA-256 of the body, 0x hex; of the empty string when there is none. */
  bodyHash: string;
  /** Seconds since 1970. */
  timestamp: number;
  /** Address of the stack's member: a signature for one stack is worth nothing at another. */
  audience: string;
}

export const requestToleranceSeconds = 300;

export function requestText(request: RequestToSign): string {
  return [
    'Roundtable request, version 1',
    request.method.toUpperCase(),
    request.path,
    request.bodyHash,
    String(request.timestamp),
    request.audience.toLowerCase(),
  ].join('\n');
}

/** Value of the Authorization header. */
export function authorizationHeader(address: string, timestamp: number, signature: string): string {
  return `Roundtable address=${address.toLowerCase()}, timestamp=${timestamp}, signature=${signature}`;
}

/** @throws NOT_SIGNED when the header is missing or not of this form */
export function parseAuthorization(header: string | undefined): {
  address: `0x${string}`;
  timestamp: number;
  signature: `0x${string}`;
} {
  const match =
    /^Roundtable address=(0x[0-9a-f]{40}), timestamp=(\d{1,12}), signature=(0x[0-9a-f]{130})$/.exec(
      header ?? '',
    );
  if (!match)
    throw new RoundtableError(
      'NOT_SIGNED',
      'The request needs an Authorization header of the form "Roundtable address=0x…, timestamp=…, signature=0x…".',
    );
  return {
    address: match[1] as `0x${string}`,
    timestamp: Number(match[2]),
    signature: match[3] as `0x${string}`,
  };
}
