/**
 * Takes out of a text what whoever reads logs must not learn: private keys in PEM, secrets of webhooks, credentials of
 * requests, JSON fields whose names say that they are secret, and of URLs everything that can hold a key: user,
 * password, query, and path segments that look like one (chain providers put theirs there). It is the last net, not
 * the first: nothing secret is meant to be written at all. A raw key of 32 bytes looks like any hash, so no pattern
 * can find it.
 */
export function redact(text: string): string {
  let clean = text;
  for (const [pattern, replacement] of patterns) clean = clean.replace(pattern, replacement);
  return clean.replace(url, redactUrl);
}

const gone = '[redacted]';

/** Words in names of fields whose values nobody logs. `token` alone is an address here. */
const secretName =
  '[\\w-]*(?:private_?key|secret|passphrase|password|authorization|cookie|mnemonic|api_?key|access_?token|session_?token)[\\w-]*';

const patterns: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, gone],
  [/\bwhsec_[A-Za-z0-9+/=_-]+/g, gone],
  [/\b(Bearer|Basic) [\w+/.=~-]{8,}/gi, `$1 ${gone}`],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+/g, gone],
  [/(signature=)0x[0-9a-fA-F]{64,}/g, `$1${gone}`],
  // A field of JSON, and of JSON that is a string in JSON.
  [new RegExp(`("${secretName}"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"`, 'gi'), `$1"${gone}"`],
  [new RegExp(`("${secretName}"\\s*:\\s*)\\[[^\\]]*\\]`, 'gi'), `$1"${gone}"`],
  [new RegExp(`(\\\\"${secretName}\\\\"\\s*:\\s*)\\\\"(?:(?!\\\\").)*\\\\"`, 'gi'), `$1\\"${gone}\\"`],
];

const url = /\b(?:https?|wss?):\/\/[^\s"'`<>\\]+/g;

function redactUrl(text: string): string {
  const [, scheme = '', authority = '', path = '', query = ''] =
    /^(\w+:\/\/)([^/?#]*)([^?#]*)(.*)$/.exec(text) ?? [];
  const host = authority.includes('@')
    ? `${gone}@${authority.slice(authority.lastIndexOf('@') + 1)}`
    : authority;
  const segments = path.split('/').map((segment) => (looksLikeKey(segment) ? gone : segment));
  return `${scheme}${host}${segments.join('/')}${query === '' ? '' : `?${gone}`}`;
}

/** Not hashes and addresses, which are hexadecimal of a known length, nor the archive's ids of 43 characters. */
function looksLikeKey(segment: string): boolean {
  if (segment.length === 43 || /^(?:0x)?(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(segment)) return false;
  return /^[\w-]{20,}$/.test(segment) && /\d/.test(segment);
}
