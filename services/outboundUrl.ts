import dns, { type LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { RoundtableError } from '#core/errors.js';

/**
 * Which URLs may be dialled that were not written by this machine's owner: stacks found on chain, upload and
 * download addresses in a stack's answers, redirects. Without this, whoever chooses such a URL could make this
 * machine speak to others of its network (OWASP: server-side request forgery).
 *
 * HTTPS to public addresses is allowed. Plain HTTP and loopback are allowed only where the owner's own
 * configuration is a loopback address, as on a laptop; private, link-local and metadata addresses only where the
 * owner names the host.
 */
export interface OutboundRules {
  /** The owner's own configuration is on this machine, so others' URLs may be too. */
  readonly loopback: boolean;
  /** Hosts (`name` or `name:port`, lower case) that the owner allows wherever they lie, also in plain HTTP. */
  readonly hosts: readonly string[];
}

export interface OutboundRequest {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent as it lies in memory. */
  body?: Uint8Array | string;
  signal: AbortSignal;
  /** Redirects that are followed, each checked like the first URL; none unless told, and only without a body. */
  redirects?: number;
}

/**
 * The rules that follow from what the owner configured.
 * @param ownUrls the owner's own URLs (API, gateways, RPC): loopback is allowed if all of them are on loopback
 * @param hosts further hosts that the owner allows, such as a store in the own network
 */
export function outboundRules(ownUrls: readonly string[], hosts: readonly string[] = []): OutboundRules {
  return {
    loopback: ownUrls.length > 0 && ownUrls.every((url) => URL.canParse(url) && namesLoopback(new URL(url))),
    hosts: hosts.map((host) => host.toLowerCase()),
  };
}

/**
 * What can be said of a URL before its name is resolved. `dial` checks the addresses behind the name too.
 * @throws URL_REFUSED
 */
export function checkOutboundUrl(given: string, rules: OutboundRules): URL {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (url === null) throw refused(given, 'it is not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused(given, 'it is not HTTPS');
  if (url.username !== '' || url.password !== '') throw refused(given, 'it carries a name or password');
  if (isNamed(url, rules)) return url;
  const local = namesLoopback(url);
  if (url.protocol === 'http:' && !(local && rules.loopback)) throw refused(given, 'it is not HTTPS');
  const literal = bareHost(url);
  if (isIP(literal) !== 0 ? !mayDial(literal, rules) : local && !rules.loopback)
    throw refused(given, 'it lies in a private network or on this machine');
  return url;
}

/**
 * Requests a URL of somebody else's. The name is resolved once and the connection goes to what was checked, so a
 * name that changes its address in between (DNS rebinding) gains nothing. The answer is not decompressed.
 * @throws URL_REFUSED; whatever node:http throws when nobody answers; the signal's reason
 */
export async function dial(given: string, request: OutboundRequest, rules: OutboundRules): Promise<Response> {
  let url = checkOutboundUrl(given, rules);
  for (let left = request.redirects ?? 0; ; left--) {
    const answer = await send(url, request, rules);
    const location = answer.headers.location;
    const status = answer.statusCode ?? 0;
    if (!REDIRECTS.includes(status) || location === undefined || left <= 0 || request.body !== undefined)
      return toResponse(answer);
    answer.resume();
    if (!URL.canParse(location, url.href)) throw refused(location, 'it is not a URL');
    url = checkOutboundUrl(new URL(location, url).href, rules);
  }
}

/** What a request of one's own needs, so that its connection goes to no other address than `checkOutboundUrl` allows. */
export function connectionRules(url: URL, rules: OutboundRules): http.RequestOptions {
  const { http: plain, https: secure } = agentsOf(rules);
  const agent = url.protocol === 'https:' ? secure : plain;
  return isNamed(url, rules) ? { agent } : { agent, lookup: checkedLookup(rules) };
}

const REDIRECTS = [301, 302, 303, 307, 308];

/** Connections are kept for the next request, but only for one under the same rules: others did not check them. */
const agents = new WeakMap<OutboundRules, { http: http.Agent; https: https.Agent }>();

function agentsOf(rules: OutboundRules): { http: http.Agent; https: https.Agent } {
  const known = agents.get(rules) ?? {
    http: new http.Agent({ keepAlive: true }),
    https: new https.Agent({ keepAlive: true }),
  };
  agents.set(rules, known);
  return known;
}

function send(
  url: URL,
  request: OutboundRequest,
  rules: OutboundRules,
  again = true,
): Promise<http.IncomingMessage> {
  const { method = 'GET', headers = {}, body, signal } = request;
  const secure = url.protocol === 'https:';
  return new Promise((resolve, reject) => {
    const sent = (secure ? https : http)
      .request(
        url,
        {
          method,
          signal,
          ...connectionRules(url, rules),
          headers: {
            'accept-encoding': 'identity',
            ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
            ...headers,
          },
        },
        resolve,
      )
      .once('error', (error) => {
        // The other side closed a kept connection at the very moment: nothing of this request was answered.
        if (sent.reusedSocket && again && !signal.aborted)
          send(url, request, rules, false).then(resolve, reject);
        else reject(signal.aborted ? signal.reason : error);
      })
      .end(body);
  });
}

/** dns.lookup, but a name any of whose addresses may not be dialled is not resolved at all. */
function checkedLookup(rules: OutboundRules): LookupFunction {
  return (hostname, options, done) => {
    dns.lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return done(error, []);
      const wrong = addresses.find(({ address }) => !mayDial(address, rules));
      const first: LookupAddress | undefined = addresses[0];
      if (wrong || !first)
        return done(refused(hostname, `its name stands for ${wrong?.address ?? 'no address'}`), []);
      if (options.all) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}

function mayDial(address: string, rules: OutboundRules): boolean {
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  if (LOOPBACK.check(address, family)) return rules.loopback;
  return family === 'ipv4' ? !NOT_PUBLIC.check(address, 'ipv4') : isPublicIpv6(address);
}

/** Global unicast (2000::/3) without the ranges that carry an IPv4 address inside or are for documents. */
function isPublicIpv6(address: string): boolean {
  return GLOBAL.check(address, 'ipv6') && !NOT_PUBLIC.check(address, 'ipv6');
}

function isNamed(url: URL, rules: OutboundRules): boolean {
  return rules.hosts.includes(url.host) || rules.hosts.includes(url.hostname);
}

function namesLoopback(url: URL): boolean {
  const host = bareHost(url);
  const family = isIP(host);
  if (family !== 0) return LOOPBACK.check(host, family === 4 ? 'ipv4' : 'ipv6');
  return /^(.+\.)?localhost\.?$/.test(host);
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function toResponse(answer: http.IncomingMessage): Response {
  const status = answer.statusCode ?? 0;
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  if (status < 200 || status > 599) {
    answer.destroy();
    throw new Error(`the answer has the status ${status}`);
  }
  const empty = status === 204 || status === 205 || status === 304;
  if (empty) answer.resume();
  const body = empty ? null : Readable.toWeb(Readable.from(chunksOf(answer)));
  return new Response(body as ReadableStream<Uint8Array> | null, { status, headers });
}

/** An answer that breaks off fails as fetch's do: not with an error number, which could be a file's. */
async function* chunksOf(answer: http.IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw new TypeError('the answer broke off', { cause });
  }
}

function refused(url: string, why: string): RoundtableError {
  // The query of a presigned URL is a secret.
  const shown = JSON.stringify(url.replace(/[?#].*$/s, '').slice(0, 100));
  return new RoundtableError(
    'URL_REFUSED',
    `${shown} was not dialled: ${why}. It must be HTTPS at a public address, unless the owner of this machine allows its host.`,
  );
}

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** IANA special-purpose address registries (RFC 6890 and successors), and multicast. */
const NOT_PUBLIC = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  NOT_PUBLIC.addSubnet(network, bits, 'ipv6');

const GLOBAL = new BlockList();
GLOBAL.addSubnet('2000::', 3, 'ipv6');
